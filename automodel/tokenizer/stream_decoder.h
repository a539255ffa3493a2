// StreamDecoder: text from ids that come one by one, as soon as it is whole characters.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "automodel/tokenizer/tokenizer.h"

namespace automodel::tokenizer {

/// Each push() gives the text that its id completes: "" while a character is unfinished, or while the id shows nothing.
/// Concatenated and followed by finish(), the parts equal Tokenizer::decode of all ids, unless a decoder looks back
/// further than one character. At most 64 ids are held back, so a stream of broken bytes costs no more.
class StreamDecoder {
 public:
  StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}
  std::string push(int32_t id);
  std::string finish();  // what is left, unfinished bytes as U+FFFD

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  std::vector<int32_t> ids_;  // those of the last part given out, then those not yet shown
  size_t shown_ = 0;          // how many of them are
};

}  // namespace automodel::tokenizer
