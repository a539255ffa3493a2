#include "automodel/config/python_literal.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace automodel::config {

std::optional<double> parse_python_float(std::string_view text) {
  if (text.empty() || !(text[0] == '.' || (text[0] >= '0' && text[0] <= '9'))) return std::nullopt;
  double number = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end != text.data() + text.size()) return std::nullopt;
  if (fault == std::errc::result_out_of_range) return std::strtod(std::string(text).c_str(), nullptr);
  if (fault != std::errc()) return std::nullopt;
  return number;
}

std::string python_repr(std::string_view text) {
  std::string quoted = "'";
  for (unsigned char c : text) {
    if (c == '\'' || c == '\\') {
      quoted += '\\', quoted += static_cast<char>(c);
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c < 0x20) {
      quoted += fmt::format("\\x{:02x}", c);
    } else {
      quoted += static_cast<char>(c);
    }
  }
  return quoted + "'";
}

namespace {

constexpr int kMaxDepth = 100;

void append_utf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    text += static_cast<char>(0xF0 | code >> 18);
    text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (code & 0x3F));
  }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || (c & 0x80) != 0; }

// Every method returns nothing when the text is not a literal; the caller then gives up as a whole.
class LiteralParser {
 public:
  explicit LiteralParser(std::string_view text) : text_(text) {}

  std::optional<Value> parse() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    bool blank_lines = peek() == '\n';
    while (peek() == '\n') ++at_;
    if (blank_lines && (peek() == ' ' || peek() == '\t')) return std::nullopt;  // an indented first line
    auto value = expression_list('\0');
    if (!value) return std::nullopt;
    skip_space();
    while (peek() == '\n' || peek() == '\r') ++at_, skip_space();
    return at_ == text_.size() ? value : std::nullopt;
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  // Line breaks count as space only within brackets.
  void skip_space() {
    for (;;) {
      char c = peek();
      if (at_ >= text_.size()) return;
      if (c == ' ' || c == '\t' || c == '\f' || (depth_ > 0 && (c == '\n' || c == '\r'))) {
        ++at_;
      } else if (c == '#') {
        while (at_ < text_.size() && peek() != '\n') ++at_;
      } else if (c == '\\' && peek(1) == '\n' && at_ + 2 < text_.size()) {
        at_ += 2;
      } else {
        return;
      }
    }
  }

  // One expression, or a tuple of several parted by commas, up to `close` (which is left for the caller).
  std::optional<Value> expression_list(char close) {
    auto first = expression();
    if (!first) return std::nullopt;
    skip_space();
    if (peek() != ',') return first;
    std::vector<Value> items{*first};
    while (peek() == ',') {
      ++at_;
      skip_space();
      if (at_ >= text_.size() || peek() == '\n' || (close && peek() == close)) break;
      auto next = expression();
      if (!next) return std::nullopt;
      items.push_back(*next);
      skip_space();
    }
    return Value::list(std::move(items));
  }

  std::optional<Value> expression() {
    skip_space();
    bool has_sign = peek() == '-' || peek() == '+';
    bool negative = peek() == '-';
    if (has_sign) ++at_, skip_space();
    auto value = atom();
    if (!value || !has_sign) return value;
    if (value->is(Value::Kind::kInt)) return Value::of(negative ? -value->integer : value->integer);
    if (value->is(Value::Kind::kFloat)) return Value::of(negative ? -value->number : value->number);
    return std::nullopt;
  }

  std::optional<Value> atom() {
    char c = peek();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (c == '\'' || c == '"') return strings();
    if (c == '(' || c == '[' || c == '{') {
      if (++depth_ > kMaxDepth) return std::nullopt;
      ++at_;
      auto value = c == '(' ? in_parentheses() : c == '[' ? in_brackets(']') : in_braces();
      --depth_;
      return value;
    }
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    std::string_view word = text_.substr(at_, end - at_);
    if (end < text_.size() && (text_[end] == '\'' || text_[end] == '"')) return strings();
    at_ = end;
    if (word == "None") return Value::null();
    if (word == "True") return Value::of(true);
    if (word == "False") return Value::of(false);
    return std::nullopt;
  }

  bool take(char close) {
    skip_space();
    if (peek() != close || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

  std::optional<Value> in_parentheses() {
    skip_space();
    if (take(')')) return Value::list({});
    auto value = expression_list(')');
    return value && take(')') ? value : std::nullopt;
  }

  std::optional<Value> in_brackets(char close) {
    std::vector<Value> items;
    for (;;) {
      if (take(close)) return Value::list(std::move(items));
      auto item = expression();
      if (!item) return std::nullopt;
      items.push_back(*item);
      skip_space();
      if (peek() != ',' && peek() != close) return std::nullopt;
      if (peek() == ',') ++at_;
    }
  }

  // str(key), as the keys of our mappings are words.
  static std::string key_name(const Value& key) {
    if (key.is_null()) return "None";
    if (key.is(Value::Kind::kBool)) return key.boolean ? "True" : "False";
    return key.is_string() ? key.text : to_yaml(key);
  }

  std::optional<Value> in_braces() {
    Value map;
    map.kind = Value::Kind::kMap;
    if (take('}')) return map;
    size_t start = at_;
    auto first = expression();
    if (!first) return std::nullopt;
    skip_space();
    if (peek() != ':') {
      at_ = start;
      return in_brackets('}');
    }
    at_ = start;
    for (;;) {
      if (take('}')) return map;
      auto key = expression();
      if (!key || key->is_map() || !take(':')) return std::nullopt;
      auto value = expression();
      if (!value) return std::nullopt;
      std::string name = key_name(*key);
      if (Value* old = map.find(name)) {
        *old = *value;
      } else {
        map.entries.push_back({name, {}, *value});
      }
      skip_space();
      if (peek() != ',' && peek() != '}') return std::nullopt;
      if (peek() == ',') ++at_;
    }
  }

  // digit (_? digit)*; appends the digits without underscores.
  bool digits(std::string& out, std::string_view allowed) {
    size_t count = 0;
    for (;; ++count) {
      size_t skip = peek() == '_' && count > 0 ? 1 : 0;
      if (at_ + skip >= text_.size() || allowed.find(peek(skip)) == std::string_view::npos) break;
      at_ += skip;
      out += text_[at_++];
    }
    return count > 0;
  }

  std::optional<Value> number() {
    static constexpr std::string_view kDecimal = "0123456789";
    std::string body;
    char mark = static_cast<char>(peek(1) | 32);
    if (peek() == '0' && (mark == 'x' || mark == 'o' || mark == 'b')) {
      at_ += 2;
      if (peek() == '_') ++at_;
      bool any = digits(body, mark == 'x' ? "0123456789abcdefABCDEF" : mark == 'o' ? "01234567" : "01");
      return any && !is_word(peek()) ? integer(body, mark == 'x' ? 16 : mark == 'o' ? 8 : 2) : std::nullopt;
    }
    digits(body, kDecimal);
    bool is_float = false;
    if (peek() == '.') {
      is_float = true;
      body += '.', ++at_;
      if (peek() == '_') return std::nullopt;
      digits(body, kDecimal);
    }
    size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
    if ((peek() | 32) == 'e' && is_digit(peek(1 + sign))) {
      is_float = true;
      body += text_.substr(at_, 1 + sign);
      at_ += 1 + sign;
      digits(body, kDecimal);
    }
    if (is_word(peek()) || peek() == '.') return std::nullopt;
    if (is_float) {
      auto number = parse_python_float(body);
      return number ? std::optional(Value::of(*number)) : std::nullopt;
    }
    if (body.size() > 1 && body[0] == '0' && body.find_first_not_of('0') != std::string::npos) return std::nullopt;
    return integer(body, 10);
  }

  static std::optional<Value> integer(const std::string& body, int base) {
    int64_t number = 0;
    auto [end, fault] = std::from_chars(body.data(), body.data() + body.size(), number, base);
    if (fault != std::errc()) return std::nullopt;
    return Value::of(number);
  }

  std::optional<Value> strings() {
    std::string joined;
    for (bool any = false;; any = true) {
      size_t start = at_;
      while ((peek() | 32) == 'r' || (peek() | 32) == 'u') ++at_;
      std::string_view prefix = text_.substr(start, at_ - start);
      if (peek() != '\'' && peek() != '"') {
        at_ = start;
        if (!any || is_word(peek())) return std::nullopt;
        return Value::of(joined);
      }
      if (prefix.size() > 1 || !one_string(joined, !prefix.empty() && (prefix[0] | 32) == 'r')) return std::nullopt;
      skip_space();
    }
  }

  bool one_string(std::string& out, bool raw) {
    char quote = peek();
    bool triple = peek(1) == quote && peek(2) == quote;
    at_ += triple ? 3 : 1;
    for (;;) {
      if (at_ >= text_.size() || (!triple && peek() == '\n')) return false;
      if (peek() == quote && (!triple || (peek(1) == quote && peek(2) == quote))) {
        at_ += triple ? 3 : 1;
        return true;
      }
      if (peek() != '\\') {
        out += text_[at_++];
      } else if (raw) {
        out += text_[at_++];
        if (at_ >= text_.size()) return false;
        out += text_[at_++];
      } else if (!escape(out)) {
        return false;
      }
    }
  }

  bool escape(std::string& out) {
    static constexpr std::string_view kNames = "\\'\"abfnrtv", kCodes = "\\'\"\a\b\f\n\r\t\v";
    ++at_;
    if (at_ >= text_.size()) return false;
    char c = text_[at_++];
    if (c == '\n') return true;
    if (size_t k = kNames.find(c); k != std::string_view::npos) {
      out += kCodes[k];
      return true;
    }
    if (c >= '0' && c <= '7') {
      uint32_t code = c - '0';
      for (int k = 0; k < 2 && peek() >= '0' && peek() <= '7'; ++k) code = code * 8 + (text_[at_++] - '0');
      append_utf8(out, code);
      return true;
    }
    int width = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == 'N') return false;
    if (width == 0) {
      out += '\\', out += c;
      return true;
    }
    if (at_ + width > text_.size()) return false;
    uint32_t code = 0;
    auto [end, fault] = std::from_chars(text_.data() + at_, text_.data() + at_ + width, code, 16);
    bool whole = fault == std::errc() && end == text_.data() + at_ + width;
    if (!whole || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    at_ += width;
    append_utf8(out, code);
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::optional<Value> parse_python_literal(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  return LiteralParser(text).parse();
}

Value translate_value(std::string_view text) {
  Value value = Value::of(std::string(text));
  // The limit counts characters, not bytes.
  auto is_start = [](unsigned char c) { return (c & 0xC0) != 0x80; };
  if (text.size() > 4000 || std::count_if(text.begin(), text.end(), is_start) > 1000) return value;
  if (text == "none" || text == "None") return Value::null();
  if (text == "true" || text == "True") return Value::of(true);
  if (text == "false" || text == "False") return Value::of(false);
  if (auto literal = parse_python_literal(text)) {
    if (!literal->is_string()) literal->text = text;
    return *literal;
  }
  return value;
}

}  // namespace automodel::config
