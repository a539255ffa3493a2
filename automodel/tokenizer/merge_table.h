// MergeTable: (left id, right id) -> rank and merged id of a BPE, in a flat hash table of 16-byte entries.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "automodel/tokenizer/huge_pages.h"

namespace automodel::tokenizer {

inline constexpr uint32_t kNoRank = 0xFFFFFFFF;

struct Merge {
  uint32_t rank;
  int32_t id;
};

class MergeTable {
 public:
  void reserve(size_t count) { resize(std::bit_ceil(std::max<size_t>(16, count * 2))); }

  /// The last set() of a pair holds.
  void set(uint32_t left, uint32_t right, Merge merge) {
    if ((count_ + 1) * 2 > entries_.size()) resize(std::max<size_t>(16, entries_.size() * 2));
    Entry& entry = slot(key_of(left, right));
    count_ += entry.key == kFree;
    entry = {key_of(left, right), merge};
  }

  /// rank is kNoRank for a pair that does not merge.
  Merge get(uint32_t left, uint32_t right) const {
    if (entries_.empty()) return {kNoRank, 0};
    const uint64_t key = key_of(left, right);
    for (size_t i = place(key);; i = (i + 1) & (entries_.size() - 1)) {
      if (entries_[i].key == key) return entries_[i].merge;
      if (entries_[i].key == kFree) return {kNoRank, 0};
    }
  }
  bool find(uint32_t left, uint32_t right) const { return get(left, right).rank != kNoRank; }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  struct Entry {
    uint64_t key = kFree;
    Merge merge{kNoRank, 0};
  };
  static uint64_t key_of(uint32_t left, uint32_t right) { return static_cast<uint64_t>(left) << 32 | right; }
  size_t place(uint64_t key) const { return static_cast<size_t>((key ^ key >> 29) * 0x9E3779B97F4A7C15ull >> shift_); }

  Entry& slot(uint64_t key) {
    size_t i = place(key);
    while (entries_[i].key != kFree && entries_[i].key != key) i = (i + 1) & (entries_.size() - 1);
    return entries_[i];
  }

  void resize(size_t size) {
    HugeVector<Entry> old(size);
    old.swap(entries_);
    shift_ = 64 - std::countr_zero(size);
    for (const Entry& entry : old)
      if (entry.key != kFree) slot(entry.key) = entry;
  }

  HugeVector<Entry> entries_;
  size_t count_ = 0;
  int shift_ = 63;
};

}  // namespace automodel::tokenizer
