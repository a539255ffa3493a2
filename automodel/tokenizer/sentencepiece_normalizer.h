// SentencePieceNormalizer: text as a SentencePiece model reads it, and where in the input each byte came from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/tokenizer/charsmap.h"
#include "automodel/tokenizer/merge_table.h"
#include "automodel/tokenizer/sentencepiece_file.h"

namespace automodel::tokenizer {

/// Finds the longest of a set of texts at the beginning of another.
class PrefixMatcher {
 public:
  void add(std::string_view text);
  size_t longest(std::string_view text) const;  // bytes; 0: none

 private:
  MergeTable trie_;  // (node, byte) -> next node
  std::vector<bool> ends_ = {false};
};

class SentencePieceNormalizer {
 public:
  /// Throws DataError{where} for a charsmap that does not hold together.
  SentencePieceNormalizer(const SentencePieceFile& file, const std::string& where);
  /// By the rules alone: no user-defined pieces, the dummy prefix in front.
  SentencePieceNormalizer(const SentencePieceFile::Rules& rules, const std::string& where);

  /// `origin[i]` is the input byte that normalized byte i comes from; one entry more stands for the end.
  void apply(std::string_view input, std::string& normalized, std::vector<uint32_t>& origin) const;

  const PrefixMatcher& user_defined() const { return user_defined_; }

 private:
  struct Step {
    std::string_view text;  // what comes out
    size_t size;            // input bytes that it stands for
  };
  Step next(std::string_view input) const;

  PrefixMatcher user_defined_;
  std::optional<Charsmap> charsmap_;
  bool dummy_prefix_, remove_extra_, escape_, suffix_ = false;
};

}  // namespace automodel::tokenizer
