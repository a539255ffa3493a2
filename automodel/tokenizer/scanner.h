// Scanner: the pre-tokenizing expressions that nearly every byte-level tokenizer uses, as hand-written code.
//
// A scanner returns the end of the match that starts at `at` < text.size(), a character's first byte, or `at` if none
// starts there. Text is valid UTF-8. Held equal to PCRE2 on random text by a test.
#pragma once

#include <cstddef>
#include <string_view>

namespace automodel::tokenizer {

using Scanner = size_t (*)(std::string_view text, size_t at);

/// The expression of GPT-2's ByteLevel.
extern const char kGpt2Expression[];

/// The scanner for `expression`, or nullptr.
Scanner find_scanner(std::string_view expression);

}  // namespace automodel::tokenizer
