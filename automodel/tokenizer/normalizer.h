// Normalizers of tokenizer.json: BertNormalizer, Strip, StripAccents, NFC NFD NFKC NFKD, Sequence, Lowercase, Nmt,
// Precompiled, Replace, Prepend, ByteLevel; with the alignment of the `tokenizers` library.
#pragma once

#include <memory>
#include <string>

#include "automodel/base/json.h"
#include "automodel/tokenizer/normalized.h"
#include "automodel/tokenizer/pattern.h"

namespace automodel::tokenizer {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Rewrites `now`; `spare` is scratch of any content.
  virtual void apply(Normalized& now, Normalized& spare, MatchScratch& scratch) const = 0;
};

/// From the JSON at `normalizer`; nullptr for null. `where` starts the errors: DataError for wrong keys,
/// UnsupportedError for other types.
std::unique_ptr<const Normalizer> make_normalizer(const Json& config, const std::string& where);

/// The character that byte-level tokenizers write for a byte, as a code point.
uint32_t byte_to_character(uint8_t byte);
/// The byte for such a character, or -1.
int character_to_byte(uint32_t code);

}  // namespace automodel::tokenizer
