#include "automodel/tokenizer/json_cursor.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

static constexpr int kMaxDepth = 512;

void JsonCursor::fail(const std::string& text) const {
  const std::string_view before = text_.substr(0, std::min(at_, text_.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n');
  const size_t column = before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1;
  throw DataError(fmt::format("{}:{}:{}", name_, line, column), text);
}

void JsonCursor::space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
    ++at_;
}

char JsonCursor::peek() {
  space();
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonCursor::take(char c) {
  if (peek() != c || at_ >= text_.size()) return false;
  ++at_;
  return true;
}

void JsonCursor::expect(char c, const char* what) {
  if (take(c)) return;
  fail(at_ >= text_.size() ? fmt::format("the file ends where {} should be", what)
                           : fmt::format("expected {}, found '{}'", what, text_[at_]));
}

std::string_view JsonCursor::string(std::string& buffer) {
  expect('"', "a string");
  const size_t begin = at_;
  bool escapes = false, ascii = true;
  buffer.clear();
  size_t copied = at_;
  while (true) {
    if (at_ >= text_.size()) fail("the file ends inside a string");
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') break;
    if (c < 0x20) fail("a control character inside a string");
    ascii &= c < 0x80;
    ++at_;
    if (c != '\\') continue;
    escapes = true;
    buffer.append(text_.substr(copied, at_ - 1 - copied));
    escape(buffer);
    copied = at_;
  }
  const std::string_view plain = text_.substr(begin, at_ - begin);
  if (!ascii && find_invalid_utf8(plain) != std::string::npos) fail("a string that is not UTF-8");
  if (escapes) buffer.append(text_.substr(copied, at_ - copied));
  ++at_;
  return escapes ? std::string_view(buffer) : plain;
}

unsigned JsonCursor::hex() {
  unsigned value = 0;
  const char* first = text_.data() + at_;
  if (text_.size() - at_ < 4 || std::from_chars(first, first + 4, value, 16).ptr != first + 4)
    fail("\\u without four hex digits");
  at_ += 4;
  return value;
}

void JsonCursor::escape(std::string& buffer) {
  if (at_ >= text_.size()) fail("the file ends inside a string");
  const char c = text_[at_++];
  constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  if (const size_t i = kNames.find(c); i != std::string_view::npos) {
    buffer += kMeanings[i];
    return;
  }
  if (c != 'u') fail(fmt::format("the unknown escape \\{}", c));
  unsigned code = hex();
  if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
    at_ += 2;
    const unsigned low = hex();
    if (low < 0xDC00 || low > 0xDFFF) fail("half a surrogate pair");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xD800 && code < 0xE000) {
    fail("half a surrogate pair");
  }
  append_utf8(buffer, code);
}

long JsonCursor::integer(long limit, const char* what) {
  space();
  const char* first = text_.data() + at_;
  long value = 0;
  const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
  if (error == std::errc::invalid_argument) fail(fmt::format("{} must be a number", what));
  if (error != std::errc() || value < 0 || value >= limit) fail(fmt::format("{} must be in [0, {})", what, limit));
  at_ += static_cast<size_t>(end - first);
  if (at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E'))
    fail(fmt::format("{} must be a whole number", what));
  return value;
}

double JsonCursor::number() {
  space();
  const char* first = text_.data() + at_;
  double value = 0;
  const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
  if (error != std::errc()) fail("expected a number");
  at_ += static_cast<size_t>(end - first);
  return value;
}

std::string_view JsonCursor::skip() {
  space();
  const size_t begin = at_;
  int depth = 0;
  std::string buffer;
  do {
    const char c = peek();
    if (at_ >= text_.size()) fail("the file ends inside a value");
    if (c == '"') {
      string(buffer);
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) fail(fmt::format("nested deeper than {}", kMaxDepth));
      ++at_;
    } else if (c == '}' || c == ']') {
      if (--depth < 0) fail("expected a value");
      ++at_;
    } else if ((c == ',' || c == ':') && depth > 0) {
      ++at_;
    } else {
      const size_t start = at_;
      while (at_ < text_.size() && std::string_view(",:{}[]\" \n\r\t").find(text_[at_]) == std::string_view::npos)
        ++at_;
      if (at_ == start) fail("expected a value");
    }
  } while (depth > 0);
  return text_.substr(begin, at_ - begin);
}

}  // namespace automodel::tokenizer
