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
  static Charsmap from_bytes(std::string_view bytes, const std::string& where);

  struct Match {
    size_t size = 0;  // bytes of the text; 0: nothing is known
    std::string_view replacement;
  };
  /// The longest known beginning of `text` and what it becomes (as SentencePiece itself does).
  Match longest(std::string_view text) const;

  /// What the shortest known beginning of `chunk` becomes, standing for the whole chunk (as the library does); nothing
  /// if none is known.
  std::optional<std::string_view> transform(std::string_view chunk) const;

 private:
  Charsmap() = default;
  void read(std::string_view bytes, const std::string& where);
  /// Calls each(bytes read, replacement) for every known beginning, the shortest first, while it returns true.
  template <class Each>
  void walk(std::string_view text, Each each) const;

  std::vector<uint32_t> trie_;  // double array: offset, leaf flag and label in each unit
  std::string normalized_;      // replacements, each ended by a zero byte
};

}  // namespace automodel::tokenizer
