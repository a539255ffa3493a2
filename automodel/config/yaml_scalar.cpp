#include "automodel/config/yaml_scalar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "automodel/config/python_literal.h"

namespace automodel::config {

namespace {

bool any_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool digit(char c) { return c >= '0' && c <= '9'; }

// A cursor over the text for the small regular languages of YAML 1.1.
struct Scan {
  std::string_view text;
  size_t at = 0;
  bool done() const { return at == text.size(); }
  char peek() const { return done() ? '\0' : text[at]; }
  bool take(char c) { return peek() == c && !done() ? ++at, true : false; }
  void sign() { take('+') || take('-'); }
  size_t run(std::string_view chars) {
    size_t start = at;
    while (!done() && chars.find(text[at]) != std::string_view::npos) ++at;
    return at - start;
  }
  size_t digits() { return run("0123456789_"); }
  // (?::[0-5]?[0-9])+
  bool sixties() {
    size_t count = 0;
    while (take(':')) {
      if (!digit(peek())) return false;
      char first = peek();
      ++at;
      if (digit(peek()) && first <= '5') ++at;
      ++count;
    }
    return count > 0;
  }
};

std::string without_underscores(std::string_view text) {
  std::string clean(text);
  clean.erase(std::remove(clean.begin(), clean.end(), '_'), clean.end());
  return clean;
}

bool looks_like_float(std::string_view text) {
  auto exponent = [](Scan& s) {
    if (s.take('e') || s.take('E')) return (s.take('+') || s.take('-')) && s.run("0123456789") > 0;
    return true;
  };
  Scan a{text};  // [-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?
  a.sign();
  if (digit(a.peek()) && a.digits() && a.take('.')) {
    a.digits();
    if (exponent(a) && a.done()) return true;
  }
  Scan b{text};  // \.[0-9][0-9_]*([eE][-+][0-9]+)?
  if (b.take('.') && digit(b.peek()) && b.digits() && exponent(b) && b.done()) return true;
  Scan c{text};  // [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*
  c.sign();
  if (digit(c.peek()) && c.digits() && c.sixties() && c.take('.')) {
    c.digits();
    if (c.done()) return true;
  }
  std::string_view rest = text;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  return any_of(rest, {".inf", ".Inf", ".INF"}) || any_of(text, {".nan", ".NaN", ".NAN"});
}

bool looks_like_int(std::string_view text) {
  auto fits = [&](auto body) {
    Scan s{text};
    s.sign();
    return body(s) && s.done();
  };
  return fits([](Scan& s) { return s.take('0') && s.take('b') && s.run("01_") > 0; }) ||
         fits([](Scan& s) { return s.take('0') && s.run("01234567_") > 0; }) ||
         fits([](Scan& s) { return s.take('0') || (s.peek() != '_' && s.digits() > 0); }) ||
         fits([](Scan& s) { return s.take('0') && s.take('x') && s.run("0123456789abcdefABCDEF_") > 0; }) ||
         fits([](Scan& s) { return s.peek() != '0' && digit(s.peek()) && s.digits() && s.sixties(); });
}

// "1:30:05.5" -> seconds; both signs and the last part's fraction are allowed.
double sexagesimal(std::string_view text) {
  double total = 0;
  size_t start = 0;
  while (start <= text.size()) {
    size_t colon = std::min(text.find(':', start), text.size());
    total = total * 60 + parse_python_float(text.substr(start, colon - start)).value_or(0);
    start = colon + 1;
  }
  return total;
}

std::optional<Value> make_float(std::string_view written) {
  std::string text = without_underscores(written);
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  double sign = 1;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    sign = text[0] == '-' ? -1 : 1;
    text.erase(0, 1);
  }
  if (text == ".inf") return Value::of(sign * std::numeric_limits<double>::infinity());
  if (text == ".nan") return Value::of(std::numeric_limits<double>::quiet_NaN());
  if (text.find(':') != std::string::npos) return Value::of(sign * sexagesimal(text));
  if (auto number = parse_python_float(text)) return Value::of(sign * *number);
  return std::nullopt;
}

std::optional<Value> make_int(std::string_view written) {
  std::string text = without_underscores(written);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.erase(0, 1);
  }
  if (text.find(':') != std::string::npos) {
    double total = sexagesimal(text);
    if (total > 9e15) return std::nullopt;
    return Value::of(static_cast<int64_t>(negative ? -total : total));
  }
  int base = 10;
  std::string_view body = text;
  if (body.starts_with("0b")) {
    base = 2, body.remove_prefix(2);
  } else if (body.starts_with("0x")) {
    base = 16, body.remove_prefix(2);
  } else if (body.size() > 1 && body[0] == '0') {
    base = 8;
  }
  std::string signed_body = (negative ? "-" : "") + std::string(body);
  int64_t number = 0;
  auto [end, fault] = std::from_chars(signed_body.data(), signed_body.data() + signed_body.size(), number, base);
  if (fault != std::errc() || end != signed_body.data() + signed_body.size()) return std::nullopt;
  return Value::of(number);
}

std::optional<Value> make_bool(std::string_view text) {
  if (any_of(text, {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) return Value::of(true);
  if (any_of(text, {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) return Value::of(false);
  return std::nullopt;
}

bool looks_like_null(std::string_view text) { return any_of(text, {"", "~", "null", "Null", "NULL"}); }

}  // namespace

Value resolve_plain_scalar(std::string_view text) {
  std::optional<Value> value;
  if (looks_like_null(text)) {
    value = Value::null();
  } else if (text.size() < 400) {
    value = make_bool(text);
    if (!value && looks_like_float(text)) value = make_float(text);
    if (!value && looks_like_int(text)) value = make_int(text);
  }
  if (!value) value = Value::of(std::string(text));
  value->text = text;
  return *value;
}

bool resolve_tagged_scalar(std::string_view tag, std::string_view text, Value& result) {
  static constexpr std::string_view kCore = "tag:yaml.org,2002:";
  if (tag == "!") {
    result = Value::of(std::string(text));
    return true;
  }
  if (!tag.starts_with(kCore)) return false;
  tag.remove_prefix(kCore.size());
  std::optional<Value> value;
  if (tag == "str") value = Value::of(std::string(text));
  if (tag == "null") value = Value::null();
  if (tag == "bool") value = make_bool(text);
  if (tag == "int" && looks_like_int(text)) value = make_int(text);
  if (tag == "float" && (looks_like_float(text) || parse_python_float(without_underscores(text))))
    value = make_float(text);
  if (!value) return false;
  result = *value;
  result.text = text;
  return true;
}

}  // namespace automodel::config
