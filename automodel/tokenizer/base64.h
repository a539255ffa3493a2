// Base64 (RFC 4648) as tokenizer files carry bytes: charsmaps, tiktoken ranks, tekken vocabularies.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace automodel::tokenizer {

/// Nothing if a character is none of base64's; '=' is allowed at the end only.
std::optional<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

}  // namespace automodel::tokenizer
