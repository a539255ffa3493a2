// WordCache: the tokens of words seen before. Not shared between threads; forgets all when it is full.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "automodel/tokenizer/model.h"

namespace automodel::tokenizer {

class WordCache {
 public:
  /// Appends the tokens of `word` (whose hash_bytes() is `hash`) if they are known.
  bool find(std::string_view word, uint64_t hash, std::vector<ModelToken>& out) const {
    if (slots_.empty()) return false;
    for (size_t i = hash & kMask; slots_[i].size; i = (i + 1) & kMask) {
      const Slot& slot = slots_[i];
      if (slot.hash != hash || std::string_view(words_).substr(slot.word, slot.size) != word) continue;
      const ModelToken* first = tokens_.data() + slot.tokens;
      if (slot.count == 1)
        out.push_back(*first);
      else
        out.insert(out.end(), first, first + slot.count);
      return true;
    }
    return false;
  }

  void add(std::string_view word, uint64_t hash, const std::vector<ModelToken>& tokens) {
    if (word.empty() || word.size() > kLongestWord) return;
    if (slots_.empty()) slots_.resize(kMask + 1);
    if (count_ >= kMask / 2) {
      std::fill(slots_.begin(), slots_.end(), Slot{});
      words_.clear();
      tokens_.clear();
      count_ = 0;
    }
    size_t i = hash & kMask;
    while (slots_[i].size) i = (i + 1) & kMask;
    slots_[i] = {hash, static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(tokens_.size()),
                 static_cast<uint16_t>(word.size()), static_cast<uint16_t>(tokens.size())};
    words_.append(word);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    ++count_;
  }

 private:
  static constexpr size_t kMask = (1 << 16) - 1, kLongestWord = 96;
  struct Slot {
    uint64_t hash = 0;
    uint32_t word = 0, tokens = 0;
    uint16_t size = 0, count = 0;  // size 0: free
  };
  std::vector<Slot> slots_;
  std::string words_;
  std::vector<ModelToken> tokens_;
  size_t count_ = 0;
};

}  // namespace automodel::tokenizer
