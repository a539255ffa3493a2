// MD5, by which Megatron names the files of its cached orders. Nothing here is secret or signed.
#pragma once

#include <string>
#include <string_view>

namespace automodel::data {

/// The digest (RFC 1321) as 32 small hexadecimal digits.
std::string md5(std::string_view bytes);

}  // namespace automodel::data
