#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::tokenizer {

// For tokenizers that put nothing around a text.
Encoding Tokenizer::encode_truncated(std::string_view text, bool add_special, size_t max_tokens, bool keep_end) const {
  AM_CHECK(!add_special || encode({}, true).empty(), "a tokenizer with special tokens must cut texts itself");
  Encoding encoding = encode_with_offsets(text, false);
  const size_t extra = encoding.ids.size() - std::min(encoding.ids.size(), max_tokens);
  const size_t first = keep_end ? 0 : encoding.ids.size() - extra;
  encoding.ids.erase(encoding.ids.begin() + static_cast<ptrdiff_t>(first),
                     encoding.ids.begin() + static_cast<ptrdiff_t>(first + extra));
  encoding.offsets.erase(encoding.offsets.begin() + static_cast<ptrdiff_t>(first),
                         encoding.offsets.begin() + static_cast<ptrdiff_t>(first + extra));
  return encoding;
}

Offsets character_offsets(std::string_view text, const Offsets& bytes) {
  std::vector<size_t> characters(text.size() + 1);
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) ++count;
    characters[at] = count - 1;
  }
  characters[text.size()] = count;
  Offsets offsets;
  offsets.reserve(bytes.size());
  for (const auto& [begin, end] : bytes) {
    AM_CHECK(begin <= end && end <= text.size(), "the offset [{}, {}) is not in a text of {} bytes", begin, end,
             text.size());
    offsets.emplace_back(characters[begin], characters[end]);
  }
  return offsets;
}

}  // namespace automodel::tokenizer
