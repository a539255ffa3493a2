// Pre-tokenizers of tokenizer.json: ByteLevel, Split, Sequence, Digits, Punctuation, Metaspace, Whitespace,
// WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer, FixedLength.
//
// They cut pieces into smaller pieces of one text; ByteLevel and Metaspace also rewrite it. Pieces that are added
// tokens stay as they are, empty pieces vanish.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/normalized.h"
#include "automodel/tokenizer/pattern.h"

namespace automodel::tokenizer {

/// A stretch of text on its way: what it reads now and the pieces, in order, that cover what is left of it.
struct Work {
  Normalized now, spare;
  std::vector<Piece> pieces, spare_pieces;
  MatchScratch scratch;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Work& work) const = 0;
  /// True if it looks at where in the input a piece starts, so that alignment must be kept.
  virtual bool needs_alignment() const { return false; }
};

struct PreTokenizers {
  std::unique_ptr<const PreTokenizer> steps;  // nullptr: none
  /// The last step writes bytes as characters; left out of `steps`, the model reads the bytes themselves (only for such
  /// models).
  bool byte_level = false;
};

/// From the JSON at `pre_tokenizer`, null for none. `bytes_wanted`: the model can read bytes, so a closing ByteLevel
/// may be left to it. Throws DataError, or UnsupportedError for a type that is not here (UnicodeScripts).
PreTokenizers make_pre_tokenizers(const Json& config, bool bytes_wanted, const std::string& where);

}  // namespace automodel::tokenizer
