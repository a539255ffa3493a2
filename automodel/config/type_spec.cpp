#include "automodel/config/type_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/config/python_literal.h"

namespace automodel::config {

namespace {

using Kind = Value::Kind;

// "a|list<b|c>" -> "a", "list<b|c>"
std::vector<std::string_view> alternatives(std::string_view spec) {
  std::vector<std::string_view> parts;
  size_t start = 0;
  int depth = 0;
  for (size_t k = 0; k <= spec.size(); ++k) {
    if (k == spec.size() || (spec[k] == '|' && depth == 0)) {
      parts.push_back(spec.substr(start, k - start));
      start = k + 1;
    } else {
      depth += spec[k] == '<' ? 1 : spec[k] == '>' ? -1 : 0;
    }
  }
  return parts;
}

struct Range {
  std::string_view kind;
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  std::string_view low_text, high_text;
  bool low_open = false, high_open = false;

  bool holds(double x) const { return (low_open ? x > low : x >= low) && (high_open ? x < high : x <= high); }
};

double bound(std::string_view text, double fallback) {
  double number = fallback;
  if (!text.empty()) std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Range range_of(std::string_view part) {
  Range range;
  size_t open = part.find_first_of("[(");
  range.kind = part.substr(0, open);
  if (open == std::string_view::npos) return range;
  size_t comma = part.find(',', open);
  AM_CHECK(comma != std::string_view::npos, "type {} has no comma", part);
  range.low_text = part.substr(open + 1, comma - open - 1);
  range.high_text = part.substr(comma + 1, part.size() - comma - 2);
  range.low = bound(range.low_text, range.low);
  range.high = bound(range.high_text, range.high);
  range.low_open = part[open] == '(';
  range.high_open = part.back() == ')';
  return range;
}

// "org/name", as the Hub has them.
bool is_hub_id(const Value& value) {
  const size_t slash = value.text.find('/');
  return value.is_string() && slash != std::string::npos && slash > 0 && slash + 1 < value.text.size() &&
         value.text.find('/', slash + 1) == std::string::npos && value.text[0] != '.' && value.text[0] != '~';
}

bool is_scalar(const Value& value) { return !value.is_null() && !value.is_list() && !value.is_map(); }

std::optional<Value> match_word(std::string_view word, const Value& value) {
  if (value.is(Kind::kBool)) {
    bool means = word == "true" || word == "false";
    return means && value.boolean == (word == "true") ? std::optional(value) : std::nullopt;
  }
  return is_scalar(value) && value.text == word ? std::optional(value) : std::nullopt;
}

std::optional<Value> match_list(std::string_view inner, const Value& value) {
  if (!value.is_list()) return std::nullopt;
  Value made = value;
  for (Value& item : made.items) {
    auto matched = match_type(inner, item);
    if (!matched) return std::nullopt;
    item = *matched;
  }
  return made;
}

// `allowed`: names parted by '|'; empty: all.
std::optional<Value> match_dtype(std::string_view allowed, const Value& value) {
  const auto dtype = value.is_string() ? canonical_dtype(value.text) : std::nullopt;
  if (!dtype) return std::nullopt;
  const auto names = alternatives(allowed);
  if (!allowed.empty() && std::find(names.begin(), names.end(), *dtype) == names.end()) return std::nullopt;
  Value made = value;
  made.text = *dtype;
  return made;
}

std::optional<Value> match_number(const Range& range, const Value& value) {
  if (range.kind == "int") {
    return value.is(Kind::kInt) && range.holds(static_cast<double>(value.integer)) ? std::optional(value)
                                                                                   : std::nullopt;
  }
  AM_CHECK(range.kind == "float", "unknown type {}", range.kind);
  if (!value.is(Kind::kFloat) && !value.is(Kind::kInt)) return std::nullopt;
  double number = value.is(Kind::kInt) ? static_cast<double>(value.integer) : value.number;
  if (!range.holds(number)) return std::nullopt;
  Value made = value;
  made.kind = Kind::kFloat;
  made.number = number;
  return made;
}

std::optional<Value> match_one(std::string_view part, const Value& value) {
  if (part.starts_with('=')) return match_word(part.substr(1), value);
  if (part.starts_with("list<")) return match_list(part.substr(5, part.size() - 6), value);
  if (part == "any") return value;
  if (part == "null") return value.is_null() ? std::optional(value) : std::nullopt;
  if (part == "bool") return value.is(Kind::kBool) ? std::optional(value) : std::nullopt;
  if (part == "string") return value.is_string() ? std::optional(value) : std::nullopt;
  if (part == "hub") return is_hub_id(value) ? std::optional(value) : std::nullopt;
  if (part == "map") return value.is_map() ? std::optional(value) : std::nullopt;
  if (part == "text") {
    if (!is_scalar(value)) return std::nullopt;
    Value made = value;
    made.kind = Kind::kString;
    return made;
  }
  if (part == "dtype") return match_dtype("", value);
  if (part.starts_with("dtype<")) return match_dtype(part.substr(6, part.size() - 7), value);
  return match_number(range_of(part), value);
}

std::string dtype_in_words(std::string_view allowed) {
  std::vector<std::string> names;
  for (const auto name : alternatives(allowed)) names.emplace_back(name);
  const std::string last = names.back();
  names.pop_back();
  return "a dtype (" + (names.empty() ? "" : join(names, ", ") + " or ") + last + ")";
}

std::string words_for(std::string_view part) {
  static const std::map<std::string_view, std::string> kWords = {
      {"bool", "true or false"}, {"string", "a string"},
      {"text", "a string"},      {"hub", "org/name of the Hub"},
      {"null", "None"},          {"map", "a mapping"},
      {"any", "any value"},      {"int", "an integer"},
      {"float", "a number"},     {"dtype", dtype_in_words("float32|bfloat16|float16|float64")}};
  if (part.starts_with("dtype<")) return dtype_in_words(part.substr(6, part.size() - 7));
  if (part.starts_with("list<")) return "a list, each: " + type_in_words(part.substr(5, part.size() - 6));
  if (auto found = kWords.find(part); found != kWords.end()) return found->second;
  Range range = range_of(part);
  std::string text = kWords.at(range.kind);
  if (!range.low_text.empty()) text += fmt::format(" {} {}", range.low_open ? "above" : "of at least", range.low_text);
  if (!range.low_text.empty() && !range.high_text.empty()) text += " and";
  if (!range.high_text.empty()) text += fmt::format(" {} {}", range.high_open ? "below" : "at most", range.high_text);
  return text;
}

}  // namespace

std::optional<Value> match_type(std::string_view spec, const Value& value) {
  for (std::string_view part : alternatives(spec)) {
    if (auto matched = match_one(part, value)) return matched;
  }
  return std::nullopt;
}

std::string type_in_words(std::string_view spec) {
  std::vector<std::string> parts;
  std::vector<std::string> words = words_of_type(spec);
  for (std::string_view part : alternatives(spec)) {
    if (!part.starts_with('=')) parts.push_back(words_for(part));
  }
  if (!words.empty()) parts.insert(parts.begin(), (words.size() > 1 ? "one of " : "") + join(words, ", "));
  std::string text = parts[0];
  for (size_t k = 1; k < parts.size(); ++k) text += ", or " + parts[k];
  return text;
}

std::vector<std::string> words_of_type(std::string_view spec) {
  std::vector<std::string> words;
  for (std::string_view part : alternatives(spec)) {
    if (part.starts_with('=')) words.emplace_back(part.substr(1));
  }
  return words;
}

std::optional<std::string> canonical_dtype(std::string_view text) {
  static const std::map<std::string_view, std::string> kDtypes = {
      {"float32", "float32"}, {"fp32", "float32"},    {"float", "float32"}, {"bfloat16", "bfloat16"},
      {"bf16", "bfloat16"},   {"float16", "float16"}, {"fp16", "float16"},  {"half", "float16"},
      {"float64", "float64"}, {"fp64", "float64"},    {"double", "float64"}};
  if (text.starts_with("torch.")) text.remove_prefix(6);
  auto found = kDtypes.find(text);
  return found == kDtypes.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace automodel::config
