#include "automodel/tokenizer/charsmap.h"

#include <fmt/format.h>

#include <cstring>

#include "automodel/base/error.h"

namespace automodel::tokenizer {

static std::string decode_base64(std::string_view text, const std::string& where) {
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  for (const char c : text) {
    int value = 0;
    if (c >= 'A' && c <= 'Z')
      value = c - 'A';
    else if (c >= 'a' && c <= 'z')
      value = c - 'a' + 26;
    else if (c >= '0' && c <= '9')
      value = c - '0' + 52;
    else if (c == '+')
      value = 62;
    else if (c == '/')
      value = 63;
    else
      throw DataError(where, "'precompiled_charsmap' is not base64");
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 255);
    }
  }
  return bytes;
}

Charsmap::Charsmap(std::string_view base64, const std::string& where) {
  const std::string bytes = decode_base64(base64, where);
  uint32_t size = 0;
  if (bytes.size() >= 4) std::memcpy(&size, bytes.data(), 4);
  if (bytes.size() < 4 || size % 4 != 0 || size > bytes.size() - 4)
    throw DataError(where,
                    fmt::format("'precompiled_charsmap' holds {} bytes, its trie claims {}", bytes.size(), size));
  trie_.resize(size / 4);
  std::memcpy(trie_.data(), bytes.data() + 4, size);
  normalized_ = bytes.substr(4 + size);
}

std::optional<std::string_view> Charsmap::transform(std::string_view chunk) const {
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  if (trie_.empty()) return std::nullopt;
  size_t node = offset(trie_[0]);
  for (const char c : chunk) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) break;
    node ^= byte;
    if (node >= trie_.size() || (trie_[node] & (1u << 31 | 0xFF)) != byte) break;
    const uint32_t unit = trie_[node];
    node ^= offset(unit);
    if (!(unit >> 8 & 1)) continue;
    if (node >= trie_.size()) break;
    const size_t at = trie_[node] & ~(1u << 31);
    if (at > normalized_.size()) break;
    const std::string_view rest = std::string_view(normalized_).substr(at);
    return rest.substr(0, rest.find('\0'));
  }
  return std::nullopt;
}

}  // namespace automodel::tokenizer
