#include <charconv>
#include <cmath>

#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

// Underscores between digits go, others make the number invalid.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !std::isalnum(static_cast<unsigned char>(text[i - 1])) ||
               !std::isalnum(static_cast<unsigned char>(text[i + 1]))) {
      return {};
    }
  }
  return out;
}

// int(text, base): nothing if it is not a number.
std::optional<int64_t> parse_int(std::string_view text, int base) {
  text = strip(text, true, true);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const auto prefixed = [&](char letter, int b) {
    if (text.size() < 2 || text[0] != '0' || (text[1] | 0x20) != letter || (base != 0 && base != b)) return;
    text.remove_prefix(text.size() > 2 && text[2] == '_' ? 3 : 2);
    base = b;
  };
  prefixed('x', 16);
  prefixed('o', 8);
  prefixed('b', 2);
  if (base == 0) {
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string_view::npos) return {};
    base = 10;
  }
  const auto digits = without_underscores(text);
  if (!digits || digits->empty() || digits->front() == '-') return {};
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits->data(), digits->data() + digits->size(), value, base);
  if (end != digits->data() + digits->size()) return {};
  if (error == std::errc::result_out_of_range || value > INT64_MAX)
    fail("the integer {} does not fit 64 bits", str_repr(text));
  if (error != std::errc()) return {};
  return negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
}

// float(text).
std::optional<double> parse_float(std::string_view text) {
  const auto plain = without_underscores(strip(text, true, true));
  if (!plain || plain->empty()) return {};
  const std::string word = lower(plain->front() == '-' || plain->front() == '+' ? plain->substr(1) : *plain);
  const bool special = word == "inf" || word == "infinity" || word == "nan";
  if (!special && word.find_first_not_of("0123456789.e+-") != std::string::npos) return {};
  char* end = nullptr;
  const double value = std::strtod(plain->c_str(), &end);
  if (end != plain->c_str() + plain->size()) return {};
  return value;
}

std::optional<double> to_float(const Value& value) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is_number()) return value.as_float();
  return value.is_str() ? parse_float(value.text()) : std::nullopt;
}

std::optional<int64_t> truncated(double value) {
  if (!std::isfinite(value)) return {};
  if (std::abs(value) >= 9.2e18) fail("the integer {} does not fit 64 bits", float_repr(value));
  return static_cast<int64_t>(value);
}

Value to_int(Runtime&, const Value& subject, Args& args) {
  auto [absent, base] = bind("int", args, {"default", "base"});
  if (subject.is_int()) return subject.as_int();
  const Value otherwise = absent.is_missing() ? Value(0) : absent;
  if (subject.is_str()) {
    const int64_t b = base.is_missing() ? 10 : index_argument(base, "");
    if (b == 0 || (b >= 2 && b <= 36)) {
      if (const auto value = parse_int(subject.text(), static_cast<int>(b))) return *value;
    }
  } else if (subject.is(Kind::kFloat) && std::isinf(subject.as_float())) {
    fail("cannot convert float infinity to integer");
  }
  const auto real = to_float(subject);
  const auto value = real ? truncated(*real) : std::nullopt;
  return value ? Value(*value) : otherwise;
}

Value make_float(Runtime&, const Value& subject, Args& args) {
  auto [absent] = bind("float", args, {"default"});
  if (const auto value = to_float(subject)) return *value;
  return absent.is_missing() ? Value(0.0) : absent;
}

Value absolute(Runtime&, const Value& subject, Args& args) {
  bind_none("abs", args);
  if (subject.is_int()) return subject.as_int() < 0 ? negate(subject) : plus(subject);
  if (!subject.is_number()) fail("bad operand type for abs(): '{}'", type_name(subject));
  return std::abs(subject.as_float());
}

int64_t round_integer(int64_t value, int64_t precision) {  // half to even, at 10^-precision
  if (precision >= 0) return value;
  if (precision < -18) return 0;
  int64_t unit = 1;
  for (int64_t i = 0; i < -precision; ++i) unit *= 10;
  const int64_t rest = ((value % unit) + unit) % unit, low = value - rest;
  const bool up = rest * 2 > unit || (rest * 2 == unit && (low / unit) % 2 != 0);
  return up ? low + unit : low;
}

Value round_value(Runtime&, const Value& subject, Args& args) {
  auto [precision_, method_] = bind("round", args, {"precision", "method"});
  const std::string_view method = method_.is_missing() ? "common" : method_.is_str() ? method_.text() : "";
  if (method != "common" && method != "ceil" && method != "floor") fail("method must be common, ceil or floor");
  const int64_t precision = precision_.is_missing() ? 0 : index_argument(precision_, "");
  if (subject.is_undefined()) fail_undefined(subject);
  if (!subject.is_number()) fail("type {} doesn't define __round__ method", type_name(subject));
  const double value = subject.as_float();
  if (method == "common") {
    if (subject.is_int()) return round_integer(subject.as_int(), precision);
    if (!std::isfinite(value) || precision > 320) return value;
    if (precision < -320) return std::copysign(0.0, value);
    if (precision >= 0) return std::strtod(fmt::format("{:.{}f}", value, precision).c_str(), nullptr);
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / scale) * scale;
  }
  if (!std::isfinite(value)) fail("cannot convert float {} to integer", float_repr(value));
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = value * scale;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

Value sum(Runtime& runtime, const Value& subject, Args& args) {
  auto [attribute, start] = bind("sum", args, {"attribute", "start"});
  if (start.is_str()) fail("sum() can't sum strings; use ''.join(seq) instead");
  const Attribute get(attribute);
  Value total = start.is_missing() ? Value(0) : start;
  Iterator iterator(subject);
  for (Value item; iterator.next(runtime, item);) total = add(runtime, std::move(total), get(runtime, item));
  return total;
}

Value file_size(Runtime& runtime, const Value& subject, Args& args) {
  auto [binary_] = bind("filesizeformat", args, {"binary"});
  const auto bytes = to_float(subject);
  if (!bytes) fail("could not convert {} to float", type_name(subject));
  const bool binary = truth(binary_);
  const double base = binary ? 1024 : 1000;
  if (*bytes == 1) return runtime.str("1 Byte");
  if (*bytes < base) return runtime.str(fmt::format("{} Bytes", truncated(*bytes).value_or(0)));
  double unit = base;
  size_t i = 0;
  static constexpr std::string_view kPrefixes = "kMGTPEZY";
  for (; i + 1 < kPrefixes.size() && *bytes >= unit * base; ++i) unit *= base;
  const char prefix = binary && i == 0 ? 'K' : kPrefixes[i];
  return runtime.str(fmt::format("{:.1f} {}{}B", *bytes / unit, prefix, binary ? "i" : ""));
}

}  // namespace

void add_number_filters(BuiltinTable& table) {
  const BuiltinTable filters = {
      {"int", to_int},        {"float", make_float}, {"abs", absolute},
      {"round", round_value}, {"sum", sum},          {"filesizeformat", file_size},
  };
  table.insert(table.end(), filters.begin(), filters.end());
}

}  // namespace automodel::tokenizer::jinja
