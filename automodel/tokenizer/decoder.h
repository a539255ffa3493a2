// Decoders of tokenizer.json: ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece, BPEDecoder, CTC,
// Sequence.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/pattern.h"

namespace automodel::tokenizer {

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Turns tokens into pieces of text; their concatenation is the text.
  virtual void apply(std::vector<std::string>& tokens, MatchScratch& scratch) const = 0;
};

/// From the JSON at `decoder`; nullptr for null (tokens are then joined by spaces). Throws DataError or
/// UnsupportedError.
std::unique_ptr<const Decoder> make_decoder(const Json& config, const std::string& where);

}  // namespace automodel::tokenizer
