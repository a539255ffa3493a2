// Charsmap: SentencePiece's compiled table of replacements, as the Precompiled normalizer carries it in base64.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace automodel::tokenizer {

class Charsmap {
 public:
  /// Throws DataError{where} for base64 or sizes that do not hold together.
  Charsmap(std::string_view base64, const std::string& where);

  /// What the shortest known beginning of `chunk` becomes, standing for the whole chunk (as the library does); nothing
  /// if none is known.
  std::optional<std::string_view> transform(std::string_view chunk) const;

 private:
  std::vector<uint32_t> trie_;  // double array: offset, leaf flag and label in each unit
  std::string normalized_;      // replacements, each ended by a zero byte
};

}  // namespace automodel::tokenizer
