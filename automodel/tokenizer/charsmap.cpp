#include "automodel/tokenizer/charsmap.h"

#include <fmt/format.h>

#include <cstring>

#include "automodel/base/error.h"
#include "automodel/tokenizer/base64.h"

namespace automodel::tokenizer {

Charsmap::Charsmap(std::string_view base64, const std::string& where) {
  const std::optional<std::string> decoded = decode_base64(base64);
  if (!decoded) throw DataError(where, "'precompiled_charsmap' is not base64");
  read(*decoded, where);
}

Charsmap Charsmap::from_bytes(std::string_view bytes, const std::string& where) {
  Charsmap made;
  made.read(bytes, where);
  return made;
}

void Charsmap::read(std::string_view bytes, const std::string& where) {
  uint32_t size = 0;
  if (bytes.size() >= 4) std::memcpy(&size, bytes.data(), 4);
  if (bytes.size() < 4 || size % 4 != 0 || size > bytes.size() - 4)
    throw DataError(where,
                    fmt::format("'precompiled_charsmap' holds {} bytes, its trie claims {}", bytes.size(), size));
  trie_.resize(size / 4);
  if (size > 0) std::memcpy(trie_.data(), bytes.data() + 4, size);
  normalized_ = bytes.substr(4 + size);
}

template <class Each>
void Charsmap::walk(std::string_view text, Each each) const {
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  if (trie_.empty()) return;
  size_t node = offset(trie_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0) return;
    node ^= byte;
    if (node >= trie_.size() || (trie_[node] & (1u << 31 | 0xFF)) != byte) return;
    const uint32_t unit = trie_[node];
    node ^= offset(unit);
    if (!(unit >> 8 & 1)) continue;
    if (node >= trie_.size()) return;
    const size_t at = trie_[node] & ~(1u << 31);
    if (at > normalized_.size()) return;
    const std::string_view rest = std::string_view(normalized_).substr(at);
    if (!each(i + 1, rest.substr(0, rest.find('\0')))) return;
  }
}

std::optional<std::string_view> Charsmap::transform(std::string_view chunk) const {
  std::optional<std::string_view> found;
  walk(chunk, [&](size_t, std::string_view replacement) {
    found = replacement;
    return false;
  });
  return found;
}

Charsmap::Match Charsmap::longest(std::string_view text) const {
  Match found;
  walk(text, [&](size_t size, std::string_view replacement) {
    found = {size, replacement};
    return true;
  });
  return found;
}

}  // namespace automodel::tokenizer
