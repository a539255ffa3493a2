#include "automodel/tokenizer/unicode.h"

#include <algorithm>
#include <vector>

namespace automodel::tokenizer {

namespace {

struct LowerRun {
  uint32_t first, last, step;
  int32_t difference;
};

struct CategoryGain {
  const char* name;
  const char* classes;
};

#include "automodel/tokenizer/unicode_tables.inc"

std::vector<uint16_t> expand_properties() {
  std::vector<uint16_t> table(0x110000);
  const size_t count = std::size(kProperties);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t first = kProperties[i] >> 16, end = i + 1 < count ? kProperties[i + 1] >> 16 : table.size();
    std::fill(table.begin() + first, table.begin() + end, static_cast<uint16_t>(kProperties[i]));
  }
  return table;
}

}  // namespace

const uint16_t* properties() {
  static const std::vector<uint16_t> table = expand_properties();
  return table.data();
}

void append_utf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
    return;
  }
  char bytes[4];
  size_t size = 0;
  if (code < 0x800) {
    bytes[size++] = static_cast<char>(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      bytes[size++] = static_cast<char>(0xE0 | code >> 12);
    } else {
      bytes[size++] = static_cast<char>(0xF0 | code >> 18);
      bytes[size++] = static_cast<char>(0x80 | (code >> 12 & 63));
    }
    bytes[size++] = static_cast<char>(0x80 | (code >> 6 & 63));
  }
  bytes[size++] = static_cast<char>(0x80 | (code & 63));
  text.append(bytes, size);
}

bool is_ascii(std::string_view text) {
  unsigned char any = 0;
  for (const char c : text) any |= static_cast<unsigned char>(c);
  return any < 0x80;
}

size_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// The bytes of a valid character at `at`, or 0 and in `bad` how many bytes its longest valid beginning has.
static size_t valid_character(std::string_view text, size_t at, size_t& bad) {
  const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const unsigned lead = byte(0);
  bad = 1;
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const size_t size = utf8_length(static_cast<unsigned char>(lead));
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < size; ++i) {
    const unsigned next = byte(i);
    if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF)) return 0;
    ++bad;
  }
  return size;
}

std::string replace_invalid_utf8(std::string bytes) {
  size_t bad = 0, at = 0;
  while (at < bytes.size()) {
    const size_t size = valid_character(bytes, at, bad);
    if (size == 0) break;
    at += size;
  }
  if (at >= bytes.size()) return bytes;
  std::string text = bytes.substr(0, at);
  while (at < bytes.size()) {
    const size_t size = valid_character(bytes, at, bad);
    if (size > 0) {
      text.append(bytes, at, size);
      at += size;
    } else {
      text += "\xEF\xBF\xBD";
      at += bad;
    }
  }
  return text;
}

uint32_t lowercase(uint32_t code, uint32_t& second) {
  second = 0;
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  if (code == 0x130) {
    second = 0x307;
    return 'i';
  }
  const auto* run = std::upper_bound(std::begin(kLowercase), std::end(kLowercase), code,
                                     [](uint32_t c, const LowerRun& r) { return c < r.first; });
  if (run == std::begin(kLowercase)) return code;
  --run;
  if (code > run->last || (code - run->first) % run->step != 0) return code;
  return static_cast<uint32_t>(static_cast<int32_t>(code) + run->difference);
}

bool is_normalization_inert(uint32_t code) {
  const auto* range = std::upper_bound(std::begin(kNormalizationInert), std::end(kNormalizationInert), code,
                                       [](uint32_t c, const uint32_t(&r)[2]) { return c < r[0]; });
  return range != std::begin(kNormalizationInert) && code <= (range - 1)[0][1];
}

std::string_view category_gain(std::string_view name) {
  for (const auto& gain : kGains)
    if (name == gain.name) return gain.classes;
  return {};
}

}  // namespace automodel::tokenizer
