// Vocabulary: tokens and their ids both ways, in one arena and one flat hash table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/tokenizer/huge_pages.h"

namespace automodel::tokenizer {

/// A fast 64-bit hash of short strings (not for hostile keys).
uint64_t hash_bytes(std::string_view bytes);

class Vocabulary {
 public:
  static constexpr int64_t kMaxId = 1 << 24;  // ids from files are held below this

  void reserve(size_t tokens, size_t bytes);

  /// False if the token or the id is there already. `id` is in [0, kMaxId).
  bool add(std::string_view token, int32_t id);

  int32_t find(std::string_view token) const;  // -1: unknown
  /// find() of each, in the time of few: their places in memory are asked for ahead of their use. As many ids as
  /// tokens.
  void find_all(std::span<const std::string_view> tokens, std::span<int32_t> ids) const;
  bool contains(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < by_id_.size() && by_id_[static_cast<size_t>(id)].used;
  }
  std::string_view token(int32_t id) const;  // contains(id)
  size_t size() const { return count_; }
  int32_t end_id() const { return static_cast<int32_t>(by_id_.size()); }  // one more than the largest id

 private:
  struct Entry {
    uint32_t begin = 0, size = 0;
    bool used = false;
  };
  void grow();
  int32_t find(std::string_view token, uint64_t hash, size_t& slot) const;  // `slot`: where it is or would be
  std::string_view view(const Entry& entry) const { return {arena_.data() + entry.begin, entry.size}; }

  std::string arena_;
  HugeVector<Entry> by_id_;
  HugeVector<uint64_t> slots_;  // high bits of the hash << 32 | id + 1; 0: free
  size_t count_ = 0;
};

}  // namespace automodel::tokenizer
