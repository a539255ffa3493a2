#include "automodel/tokenizer/scanner.h"

#include <array>

#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

const char kGpt2Expression[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

constexpr char kCl100k1[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kCl100k3[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kDeepseek[] = R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
                             "\r\n"
                             R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
                             "\r\n"
                             R"(]*|\s*[)"
                             "\r\n"
                             R"(]+|\s+(?!\S)|\s+)";

enum Kind : uint8_t { kLetter = 1, kNumber = 2, kBlank = 4, kMark = 8, kSign = 16 };  // kSign: P or S

constexpr uint8_t kind_of_category(unsigned category) {
  if (category >= kLu && category <= kLo) return kLetter;
  if (category >= kMn && category <= kMe) return kMark;
  if (category >= kNd && category <= kNo) return kNumber;
  if (category >= kPc && category <= kSo) return kSign;
  return 0;
}

constexpr std::array<uint8_t, 32> kKinds = [] {
  std::array<uint8_t, 32> kinds{};
  for (unsigned i = 0; i < 32; ++i) kinds[i] = kind_of_category(i);
  return kinds;
}();

constexpr std::array<uint8_t, 128> kAsciiKinds = [] {
  std::array<uint8_t, 128> kinds{};
  for (unsigned c = 0; c < 128; ++c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
      kinds[c] = kLetter;
    else if (c >= '0' && c <= '9')
      kinds[c] = kNumber;
    else if (c == ' ' || (c >= 9 && c <= 13))
      kinds[c] = kBlank;
    else if (c > 32 && c < 127)
      kinds[c] = kSign;
  }
  return kinds;
}();

struct Text {
  const char* data;
  size_t size;

  unsigned char byte(size_t at) const { return static_cast<unsigned char>(data[at]); }

  // The kind of the character at `at` and its length; 0 and 0 at the end.
  uint8_t kind(size_t at, size_t& length) const {
    if (at >= size) {
      length = 0;
      return 0;
    }
    const unsigned char lead = byte(at);
    if (lead < 128) {
      length = 1;
      return kAsciiKinds[lead];
    }
    length = utf8_length(lead);
    const uint16_t bits = properties()[decode_utf8(data + at)];
    return bits & kSpacePattern ? uint8_t{kBlank} : kKinds[bits & 31];
  }

  // The end of the longest run from `at` of characters whose kind meets `mask`.
  size_t run(size_t at, uint8_t mask) const {
    size_t length;
    while (at < size && kAsciiKinds[byte(at) & 127] & mask && byte(at) < 128) ++at;
    while (kind(at, length) & mask) at += length;
    return at;
  }

  // The same for characters whose kind does not meet `mask`.
  size_t run_other(size_t at, uint8_t mask) const {
    size_t length;
    while (at < size && !(kind(at, length) & mask)) at += length;
    return at;
  }
};

bool is_line_end(unsigned char c) { return c == '\r' || c == '\n'; }

// The contraction after the apostrophe at `at`, or `at`. `fold`: of either case, with the long s that folds to s.
size_t contraction(const Text& text, size_t at, bool fold) {
  if (at + 1 >= text.size || text.byte(at) != '\'') return at;
  const auto lower = [&](size_t i) {
    if (i >= text.size) return 0u;
    const unsigned c = text.byte(i);
    return fold && c >= 'A' && c <= 'Z' ? c + 32 : c;
  };
  const unsigned a = lower(at + 1), b = lower(at + 2);
  if (fold && a == 0xC5 && b == 0xBF) return at + 3;  // U+017F
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
  return at;
}

// \s+(?!\S)|\s+ : all blanks at the end of the text, else all but the last one, else that one.
size_t blanks(const Text& text, size_t at) {
  const size_t end = text.run(at, kBlank);
  if (end == text.size) return end;
  const size_t last = previous_utf8({text.data, text.size}, end);
  return last > at ? last : end;
}

// \s*[\r\n]+ before blanks(): to the last line end of the run.
size_t lines_or_blanks(const Text& text, size_t at) {
  const size_t end = text.run(at, kBlank);
  for (size_t i = end; i > at; --i)
    if (is_line_end(text.byte(i - 1))) return i;
  return blanks(text, at);
}

size_t skip_line_ends(const Text& text, size_t at) {
  while (at < text.size && is_line_end(text.byte(at))) ++at;
  return at;
}

size_t scan_gpt2(std::string_view view, size_t at) {
  const Text text{view.data(), view.size()};
  if (const size_t end = contraction(text, at, false); end > at) return end;
  size_t length;
  size_t start = at;
  uint8_t kind = text.kind(at, length);
  if (text.byte(at) == ' ' && at + 1 < text.size) {
    size_t next;
    const uint8_t after = text.kind(at + 1, next);
    if (!(after & kBlank)) {
      start = at + 1;
      kind = after;
    }
  }
  if (kind & kBlank) return blanks(text, at);
  if (kind & kLetter) return text.run(start, kLetter);
  if (kind & kNumber) return text.run(start, kNumber);
  return text.run_other(start, kLetter | kNumber | kBlank);
}

template <int kDigits>
size_t scan_cl100k(std::string_view view, size_t at) {
  const Text text{view.data(), view.size()};
  if (const size_t end = contraction(text, at, true); end > at) return end;
  size_t length, next;
  const uint8_t kind = text.kind(at, length);
  if (kind & kLetter) return text.run(at, kLetter);
  const unsigned char lead = text.byte(at);
  if (!(kind & kNumber) && !is_line_end(lead) && text.kind(at + length, next) & kLetter)
    return text.run(at + length, kLetter);
  if (kind & kNumber) {
    size_t end = at + length;
    for (int i = 1; i < kDigits && text.kind(end, next) & kNumber; ++i) end += next;
    return end;
  }
  if (!(kind & kBlank)) return skip_line_ends(text, text.run_other(at, kLetter | kNumber | kBlank));
  if (lead == ' ' && at + 1 < text.size && !(text.kind(at + 1, next) & (kLetter | kNumber | kBlank)))
    return skip_line_ends(text, text.run_other(at + 1, kLetter | kNumber | kBlank));
  return lines_or_blanks(text, at);
}

size_t scan_deepseek(std::string_view view, size_t at) {
  const Text text{view.data(), view.size()};
  const auto ascii_letter = [&](size_t i) {
    return i < text.size && text.byte(i) < 128 && kAsciiKinds[text.byte(i)] == kLetter;
  };
  const unsigned char lead = text.byte(at);
  if (lead < 128 && kAsciiKinds[lead] == kSign && ascii_letter(at + 1)) {
    do ++at;
    while (ascii_letter(at));
    return at;
  }
  size_t length, next;
  const uint8_t kind = text.kind(at, length);
  if (kind & (kLetter | kMark)) return text.run(at, kLetter | kMark);
  if (kind & kSign) return skip_line_ends(text, text.run(at, kSign));
  const uint8_t after = text.kind(at + length, next);
  if (!is_line_end(lead) && after & (kLetter | kMark)) return text.run(at + length, kLetter | kMark);
  if (lead == ' ' && after & kSign) return skip_line_ends(text, text.run(at + 1, kSign));
  return kind & kBlank ? lines_or_blanks(text, at) : at;
}

template <int kLimit>
size_t scan_numbers(std::string_view view, size_t at) {
  const Text text{view.data(), view.size()};
  size_t length;
  for (int i = 0; i < kLimit && text.kind(at, length) & kNumber; ++i) at += length;
  return at;
}

// [U+4E00-U+9FA5 U+3040-U+309F U+30A0-U+30FF]+
size_t scan_cjk(std::string_view view, size_t at) {
  while (at < view.size() && static_cast<unsigned char>(view[at]) >= 0xE3) {
    const uint32_t code = decode_utf8(view.data() + at);
    if (!((code >= 0x4E00 && code <= 0x9FA5) || (code >= 0x3040 && code <= 0x30FF))) break;
    at += 3;
  }
  return at;
}

}  // namespace

Scanner find_scanner(std::string_view expression) {
  if (expression == kGpt2Expression) return scan_gpt2;
  if (expression == kCl100k1) return scan_cl100k<1>;
  if (expression == kCl100k3) return scan_cl100k<3>;
  if (expression == kDeepseek) return scan_deepseek;
  if (expression == R"(\p{N}{1,3})") return scan_numbers<3>;
  if (expression == R"(\p{N})") return scan_numbers<1>;
  if (expression == "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+") return scan_cjk;
  return nullptr;
}

}  // namespace automodel::tokenizer
