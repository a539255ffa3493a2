#include <cmath>

#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

constexpr int64_t kMaxWidth = 1 << 20;

// What stands between '%' or ':' and the type.
struct Spec {
  std::string fill = " ";
  char align = 0, sign = '-', type = 0, grouping = 0;
  bool alternate = false, zero = false;
  int64_t width = 0;
  std::optional<int64_t> precision;
};

std::string group_digits(std::string digits, char separator) {
  const size_t end = std::min(digits.find_first_of(".e"), digits.size());
  for (size_t i = end; i > 3; i -= 3) digits.insert(i - 3, 1, separator);
  return digits;
}

std::string real_digits(double value, const Spec& spec) {  // of |value|
  const bool capital = std::isupper(static_cast<unsigned char>(spec.type)) != 0;
  if (!std::isfinite(value)) return std::isnan(value) ? (capital ? "NAN" : "nan") : capital ? "INF" : "inf";
  value = std::abs(value);
  const int64_t precision = spec.precision.value_or(6);
  std::string out;
  switch (spec.type) {
    case 'f':
    case 'F':
    case '%':
      out = fmt::format("{:.{}f}", spec.type == '%' ? value * 100 : value, precision);
      break;
    case 'e':
    case 'E':
      out = fmt::format("{:.{}e}", value, precision);
      break;
    case 'g':
    case 'G':
      out = spec.alternate ? fmt::format("{:#.{}g}", value, precision) : fmt::format("{:.{}g}", value, precision);
      break;
    default:
      return float_repr(value);
  }
  if (capital) out = upper(out);
  return spec.type == '%' ? out + "%" : out;
}

std::string integer_digits(int64_t value, const Spec& spec) {  // of |value|, with its prefix
  const uint64_t n = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const char* prefix = "";
  std::string digits;
  switch (spec.type) {
    case 'x':
      digits = fmt::format("{:x}", n), prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", n), prefix = "0X";
      break;
    case 'o':
      digits = fmt::format("{:o}", n), prefix = "0o";
      break;
    case 'b':
      digits = fmt::format("{:b}", n), prefix = "0b";
      break;
    default:
      digits = fmt::format("{}", n);
  }
  return (spec.alternate ? prefix : "") + digits;
}

std::string with_sign(bool negative, std::string digits, const Spec& spec, Runtime& runtime) {
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.grouping) digits = group_digits(std::move(digits), spec.grouping);
  if (spec.align == '=')
    return sign + pad_text(runtime, digits, spec.width - static_cast<int64_t>(sign.size()), 1, spec.fill);
  return sign + digits;
}

std::string aligned(Runtime& runtime, const std::string& text, const Spec& spec, char natural) {
  const char align = spec.align ? spec.align : natural;
  return pad_text(runtime, text, spec.width, align == '<' ? -1 : align == '^' ? 2 : 1, spec.fill);
}

int64_t number_at(std::string_view text, size_t& i) {
  int64_t n = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    n = n * 10 + (text[i] - '0');
    if (n > kMaxWidth) fail("a width or precision of a format is larger than {}", kMaxWidth);
  }
  return n;
}

// ---- '%' ----

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& args) : runtime_(runtime), args_(args) {}

  std::string run(std::string_view format) {
    std::string out;
    for (size_t i = 0; i < format.size();) {
      if (format[i] != '%') {
        out += format[i++];
        continue;
      }
      if (++i >= format.size()) fail("incomplete format");
      out += conversion(format, i);
      if (out.size() > runtime_.options.max_output_bytes) runtime_.charge(out.size());
    }
    const bool leftover = args_.is(Kind::kTuple)
                              ? used_ < args_.as<List>().items().size()
                              : used_ == 0 && !args_.is(Kind::kDict) && !args_.is_undefined() && !args_.is(Kind::kList);
    if (leftover) fail("not all arguments converted during string formatting");
    return out;
  }

 private:
  Value next() {
    if (args_.is(Kind::kTuple)) {
      const auto& items = args_.as<List>().items();
      if (used_ >= items.size()) fail("not enough arguments for format string");
      return items[used_++];
    }
    if (used_++ > 0) fail("not enough arguments for format string");
    return args_;
  }

  std::string conversion(std::string_view format, size_t& i) {
    Spec spec;
    Value value;
    if (format[i] == '(') {
      const size_t close = format.find(')', i);
      if (close == std::string_view::npos) fail("incomplete format key");
      if (!args_.is(Kind::kDict)) fail("format requires a mapping");
      const auto key = format.substr(i + 1, close - i - 1);
      const Value* found = args_.as<Dict>().find(key);
      if (!found) fail("no key {} for the format", str_repr(key));
      value = *found;
      i = close + 1;
    }
    bool left = false;
    for (; i < format.size() && std::string_view("-+ #0").find(format[i]) != std::string_view::npos; ++i) {
      if (format[i] == '-')
        left = true;
      else if (format[i] == '#')
        spec.alternate = true;
      else if (format[i] == '0')
        spec.zero = true;
      else if (spec.sign != '+')
        spec.sign = format[i];
    }
    spec.width = star_or_number(format, i);
    if (spec.width < 0) left = true, spec.width = -spec.width;
    if (i < format.size() && format[i] == '.') spec.precision = std::max<int64_t>(0, star_or_number(format, ++i));
    while (i < format.size() && (format[i] == 'h' || format[i] == 'l' || format[i] == 'L')) ++i;
    if (i >= format.size()) fail("incomplete format");
    spec.type = format[i++];
    if (spec.type == '%') return "%";
    if (value.is_missing()) value = next();
    if (left) spec.align = '<';
    return one(value, spec);
  }

  int64_t star_or_number(std::string_view format, size_t& i) {
    if (i >= format.size() || format[i] != '*') return number_at(format, i);
    ++i;
    const int64_t n = index_argument(next(), "* wants int: ");
    if (n > kMaxWidth || n < -kMaxWidth) fail("a width or precision of a format is larger than {}", kMaxWidth);
    return n;
  }

  std::string one(const Value& value, Spec& spec) {
    std::string text;
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a':
        if (spec.type == 's')
          append_str(runtime_, text, value);
        else
          append_repr(runtime_, text, value);
        if (spec.precision) text = text.substr(0, byte_of(text, *spec.precision));
        return aligned(runtime_, text, spec, '>');
      case 'c':
        if (value.is_int())
          append_utf8(text, static_cast<char32_t>(value.as_int()));
        else if (value.is_str() && value.as<Str>().length() == 1)
          text = value.text();
        else
          fail("%c requires int or char");
        return aligned(runtime_, text, spec, '>');
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        if (value.is_undefined()) fail_undefined(value);
        const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
        if (!value.is_int() && !(decimal && value.is(Kind::kFloat))) {
          fail("%{} format: a real number is required, not {}", spec.type, type_name(value));
        }
        if (!value.is_int() && !(std::abs(value.as_float()) < 9.2e18)) fail("cannot convert float to integer");
        const int64_t n = value.is_int() ? value.as_int() : static_cast<int64_t>(value.as_float());
        std::string digits = integer_digits(n, spec);
        if (spec.precision) digits = pad_text(runtime_, digits, *spec.precision, 1, "0");
        return number(n < 0, std::move(digits), spec);
      }
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (value.is_undefined()) fail_undefined(value);
        if (!value.is_number()) fail("must be real number, not {}", type_name(value));
        return number(std::signbit(value.as_float()), real_digits(value.as_float(), spec), spec);
      default:
        fail("unsupported format character '{}'", spec.type);
    }
  }

  std::string number(bool negative, std::string digits, Spec& spec) {
    if (spec.zero && spec.align != '<') spec.align = '=', spec.fill = "0";
    return aligned(runtime_, with_sign(negative, std::move(digits), spec, runtime_), spec, '>');
  }

  Runtime& runtime_;
  const Value& args_;
  size_t used_ = 0;
};

// ---- format() ----

Spec parse_spec(std::string_view text) {
  Spec spec;
  size_t i = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!text.empty()) {
    size_t after = 0;
    decode(text, after);
    if (after < text.size() && is_align(text[after])) {
      spec.fill = text.substr(0, after);
      spec.align = text[after];
      i = after + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      i = 1;
    }
  }
  const auto accept = [&](char c) { return i < text.size() && text[i] == c ? ++i : 0; };
  if (i < text.size() && (text[i] == '+' || text[i] == '-' || text[i] == ' ')) spec.sign = text[i++];
  if (accept('#')) spec.alternate = true;
  if (accept('0')) {
    spec.zero = true;
    if (!spec.align) spec.align = '=', spec.fill = "0";
  }
  spec.width = number_at(text, i);
  if (i < text.size() && (text[i] == ',' || text[i] == '_')) spec.grouping = text[i++];
  if (accept('.')) {
    if (i >= text.size() || !std::isdigit(static_cast<unsigned char>(text[i])))
      fail("format specifier missing precision");
    spec.precision = number_at(text, i);
  }
  if (i < text.size()) spec.type = text[i++];
  if (i < text.size()) fail("invalid format specifier {}", str_repr(text));
  return spec;
}

}  // namespace

std::string percent_format(Runtime& runtime, std::string_view format, const Value& args) {
  return PercentFormatter(runtime, args).run(format);
}

std::string format_value(Runtime& runtime, const Value& value, std::string_view text) {
  if (text.empty()) return to_str(runtime, value);
  if (!value.is_str() && !value.is_number())
    fail("unsupported format string passed to {}.__format__", type_name(value));
  Spec spec = parse_spec(text);
  if (value.is_str()) {
    if (spec.align == '=' && !spec.zero) fail("'=' alignment not allowed in string format specifier");
    if (spec.align == '=') spec.align = '<';
    if (spec.type && spec.type != 's') fail("unknown format code '{}' for object of type 'str'", spec.type);
    const auto whole = value.text();
    const std::string cut(spec.precision ? whole.substr(0, byte_of(whole, *spec.precision)) : whole);
    return aligned(runtime, cut, spec, '<');
  }
  const std::string_view types = value.is_int() ? "bcdoxXneEfFgG%" : "eEfFgGn%";
  if (spec.type && types.find(spec.type) == std::string_view::npos) {
    fail("unknown format code '{}' for object of type '{}'", spec.type, type_name(value));
  }
  const bool integral =
      value.is_int() && (!spec.type || std::string_view("bdoxXn").find(spec.type) != std::string_view::npos);
  if (spec.type == 'c') fail("the format code 'c' is not supported");
  if (integral) {
    if (spec.precision) fail("precision not allowed in integer format specifier");
    return aligned(runtime, with_sign(value.as_int() < 0, integer_digits(value.as_int(), spec), spec, runtime), spec,
                   '>');
  }
  const double real = value.as_float();
  if (!spec.type && spec.precision) {
    spec.type = 'g';
    std::string digits = real_digits(real, spec);
    if (digits.find_first_not_of("0123456789") == std::string::npos) digits += ".0";
    return aligned(runtime, with_sign(std::signbit(real), std::move(digits), spec, runtime), spec, '>');
  }
  return aligned(runtime, with_sign(std::signbit(real), real_digits(real, spec), spec, runtime), spec, '>');
}

}  // namespace automodel::tokenizer::jinja
