// Unicode as the `tokenizers` library sees it: categories, the character classes of its components, case, normal forms.
//
// The properties come from unicode_tables.inc, asked of tokenizers 0.23.3 itself for every code point: Oniguruma's
// categories (Unicode 16) in patterns, Rust's std and regex crates elsewhere, two older crates for punctuation and
// marks. Code points newer than PCRE2's or utf8proc's tables therefore behave as in the library. All functions are pure
// and safe in threads; text is valid UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace automodel::tokenizer {

enum Category : uint8_t {
  kCn,
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp,
  kCc,
  kCf,
  kCo,
  kCs
};

/// Bits beside the category (bits 0-4) in properties().
enum Property : uint16_t {
  kPunctuation = 1 << 5,    // Punctuation and BertPreTokenizer split on it
  kCleaned = 1 << 6,        // BertNormalizer's clean_text removes it
  kAccent = 1 << 7,         // BertNormalizer's strip_accents removes it
  kCombining = 1 << 8,      // StripAccents removes it
  kNumeric = 1 << 9,        // Digits splits on it
  kWordRegex = 1 << 10,     // \w of the regex crate: single_word, Whitespace
  kWordPattern = 1 << 11,   // \w in patterns
  kSpacePattern = 1 << 12,  // \s in patterns
  kSpace = 1 << 13,         // White_Space
  kJoining = 1 << 14,       // stays in one grapheme with a letter before it
};

/// 0x110000 entries, by code point.
const uint16_t* properties();

inline Category category(uint32_t code) { return static_cast<Category>(properties()[code] & 31); }
inline bool has(uint32_t code, Property property) { return (properties()[code] & property) != 0; }

/// Bytes of the character that starts with `lead`.
inline size_t utf8_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

/// The code point at `at` (a character's first byte).
inline uint32_t decode_utf8(const char* at) {
  const auto* b = reinterpret_cast<const unsigned char*>(at);
  if (b[0] < 0x80) return b[0];
  if (b[0] < 0xE0) return (b[0] & 31u) << 6 | (b[1] & 63u);
  if (b[0] < 0xF0) return (b[0] & 15u) << 12 | (b[1] & 63u) << 6 | (b[2] & 63u);
  return (b[0] & 7u) << 18 | (b[1] & 63u) << 12 | (b[2] & 63u) << 6 | (b[3] & 63u);
}

/// The first byte of the character before `at` > 0.
inline size_t previous_utf8(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

void append_utf8(std::string& text, uint32_t code);
bool is_ascii(std::string_view text);
size_t count_characters(std::string_view text);

/// Invalid bytes become U+FFFD, one for each maximal part of a character (Rust's from_utf8_lossy, Python's
/// errors="replace").
std::string replace_invalid_utf8(std::string bytes);

/// char::to_lowercase, one code point; U+0130 gives two (i and U+0307), the second through `second`, else 0.
uint32_t lowercase(uint32_t code, uint32_t& second);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// True if the library's normalization leaves the code point alone, whatever utf8proc's newer tables say.
bool is_normalization_inert(uint32_t code);

/// Regex source of what category `name` ("L", "Lu") has gained since Unicode 14, for use inside [...]; may be empty.
std::string_view category_gain(std::string_view name);

}  // namespace automodel::tokenizer
