#include <cmath>

#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"

namespace automodel::tokenizer::jinja {

[[noreturn]] static void unsupported(const char* symbol, const Value& left, const Value& right) {
  if (left.is_undefined()) fail_undefined(left);
  if (right.is_undefined()) fail_undefined(right);
  fail("unsupported operand types for {}: '{}' and '{}'", symbol, type_name(left), type_name(right));
}

[[noreturn]] static void overflow(const char* symbol) {
  fail("the result of {} does not fit 64 bits; templates compute with 64-bit integers here", symbol);
}

static Value add_markup(Runtime& runtime, const Value& left, const Value& right) {
  const auto side = [](const Value& v) { return v.as<Str>().markup ? std::string(v.text()) : escape_html(v.text()); };
  auto text = side(left) + side(right);
  runtime.charge(text.size());
  return make_markup(std::move(text));
}

static Value add_texts(Runtime& runtime, Value left, const Value& right) {
  if (left.as<Str>().markup || right.as<Str>().markup) return add_markup(runtime, left, right);
  auto& text = left.as<Str>();
  const auto more = right.text();
  runtime.step(more.size() / 64);
  if (text.refs == 1 && text.text.data() == text.own.data()) {  // a value in flight: a + b + c costs one buffer
    runtime.charge(text.own.size() + more.size() > text.own.capacity() ? text.own.size() + more.size() : more.size());
    if (text.own.size() + more.size() > runtime.options.max_output_bytes) {
      Runtime::too_much("bytes in one value", runtime.options.max_output_bytes);
    }
    text.own += more;
    text.text = text.own;
    text.characters = -1;
    return left;
  }
  runtime.charge(text.text.size() + more.size());
  std::string joined;
  joined.reserve(text.text.size() + more.size() + 32);
  joined.append(text.text).append(more);
  return make_str(std::move(joined));
}

Value add(Runtime& runtime, Value left, const Value& right) {
  if (left.is_str() && right.is_str()) return add_texts(runtime, std::move(left), right);
  if (left.is_int() && right.is_int()) {
    int64_t sum;
    if (__builtin_add_overflow(left.as_int(), right.as_int(), &sum)) overflow("+");
    return sum;
  }
  if (left.is_number() && right.is_number()) return left.as_float() + right.as_float();
  if (left.is_sequence() && left.kind() == right.kind()) {
    auto items = to_vector(runtime, left);
    const auto& more = right.as<List>().items();
    runtime.charge(more.size() * sizeof(Value));
    runtime.step(more.size() / 8);
    items.insert(items.end(), more.begin(), more.end());
    return make_list(std::move(items), left.kind());
  }
  if (right.is_undefined()) fail_undefined(right);
  if (left.is_str()) fail("can only concatenate str (not \"{}\") to str", type_name(right));
  if (left.is_sequence()) fail("can only concatenate {0} (not \"{1}\") to {0}", type_name(left), type_name(right));
  unsupported("+", left, right);
}

Value subtract(const Value& left, const Value& right) {
  if (left.is_int() && right.is_int()) {
    int64_t difference;
    if (__builtin_sub_overflow(left.as_int(), right.as_int(), &difference)) overflow("-");
    return difference;
  }
  if (left.is_number() && right.is_number()) return left.as_float() - right.as_float();
  unsupported("-", left, right);
}

static Value repeat(Runtime& runtime, const Value& sequence, int64_t times) {
  if (times < 0) times = 0;
  const uint64_t n = static_cast<uint64_t>(times);
  if (sequence.is_str()) {
    const auto text = sequence.text();
    if (n && text.size() > runtime.options.max_output_bytes / n) {
      Runtime::too_much("bytes in one value", runtime.options.max_output_bytes);
    }
    runtime.charge(text.size() * n);
    std::string out;
    out.reserve(text.size() * n);
    for (uint64_t i = 0; i < n && !text.empty(); ++i) out += text;
    return sequence.as<Str>().markup ? make_markup(std::move(out)) : make_str(std::move(out));
  }
  const auto& items = sequence.as<List>().items();
  if (n && items.size() * sizeof(Value) > runtime.options.max_output_bytes / n) {
    Runtime::too_much("bytes in one value", runtime.options.max_output_bytes);
  }
  runtime.charge(items.size() * n * sizeof(Value));
  std::vector<Value> out;
  for (uint64_t i = 0; i < n && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return make_list(std::move(out), sequence.kind());
}

Value multiply(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_int() && right.is_int()) {
    int64_t product;
    if (__builtin_mul_overflow(left.as_int(), right.as_int(), &product)) overflow("*");
    return product;
  }
  if (left.is_number() && right.is_number()) return left.as_float() * right.as_float();
  if ((left.is_str() || left.is_sequence()) && right.is_int()) return repeat(runtime, left, right.as_int());
  if ((right.is_str() || right.is_sequence()) && left.is_int()) return repeat(runtime, right, left.as_int());
  unsupported("*", left, right);
}

Value divide(const Value& left, const Value& right) {
  if (!left.is_number() || !right.is_number()) unsupported("/", left, right);
  if (right.as_float() == 0) fail("division by zero");
  return left.as_float() / right.as_float();
}

static int64_t floor_quotient(int64_t a, int64_t b) {
  if (b == 0) fail("integer division or modulo by zero");
  if (b == -1 && a == INT64_MIN) overflow("//");
  const int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static double float_modulo(double a, double b) {
  if (b == 0) fail("float modulo by zero");
  double m = std::fmod(a, b);
  if (m != 0) {
    if ((b < 0) != (m < 0)) m += b;
  } else {
    m = std::copysign(0.0, b);
  }
  return m;
}

Value floor_divide(const Value& left, const Value& right) {
  if (left.is_int() && right.is_int()) return floor_quotient(left.as_int(), right.as_int());
  if (!left.is_number() || !right.is_number()) unsupported("//", left, right);
  const double a = left.as_float(), b = right.as_float();
  if (b == 0) fail("float floor division by zero");
  const double quotient = (a - float_modulo(a, b)) / b;
  const double floored = std::floor(quotient);
  return quotient == 0 ? std::copysign(0.0, a / b) : quotient - floored > 0.5 ? floored + 1 : floored;
}

Value modulo(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_str()) {
    auto text = percent_format(runtime, left.text(), right);
    runtime.charge(text.size());
    return left.as<Str>().markup ? make_markup(std::move(text)) : make_str(std::move(text));
  }
  if (left.is_int() && right.is_int()) {
    const int64_t a = left.as_int(), b = right.as_int();
    return b == -1 ? Value(int64_t{0}) : Value(a - floor_quotient(a, b) * b);
  }
  if (!left.is_number() || !right.is_number()) unsupported("%", left, right);
  return float_modulo(left.as_float(), right.as_float());
}

Value power(const Value& left, const Value& right) {
  if (!left.is_number() || !right.is_number()) unsupported("**", left, right);
  if (left.is_int() && right.is_int() && right.as_int() >= 0) {
    int64_t result = 1, base = left.as_int();
    for (uint64_t n = static_cast<uint64_t>(right.as_int()); n; n >>= 1) {
      if ((n & 1) && __builtin_mul_overflow(result, base, &result)) overflow("**");
      if (n > 1 && __builtin_mul_overflow(base, base, &base)) overflow("**");
    }
    return result;
  }
  const double a = left.as_float(), b = right.as_float();
  if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
  if (a < 0 && b != std::floor(b)) fail("complex numbers are not supported");
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) fail("numerical result out of range");
  return result;
}

Value negate(const Value& value) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is_int()) {
    if (value.as_int() == INT64_MIN) overflow("-");
    return -value.as_int();
  }
  if (!value.is_number()) fail("bad operand type for unary -: '{}'", type_name(value));
  return -value.as_float();
}

Value plus(const Value& value) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is_int()) return value.as_int();
  if (!value.is_number()) fail("bad operand type for unary +: '{}'", type_name(value));
  return value;
}

// -1, 0, 1; 2 for what has no order (nan).
static int compare(const Value& left, const Value& right, const char* symbol, int depth) {
  spend(1);
  if (depth > 600) fail("containers nested too deeply to be compared");
  if (left.is_int() && right.is_int()) return left.as_int() < right.as_int() ? -1 : left.as_int() > right.as_int();
  if (left.is_number() && right.is_number()) {
    const double a = left.as_float(), b = right.as_float();
    return a < b ? -1 : a > b ? 1 : a == b ? 0 : 2;
  }
  if (left.is_str() && right.is_str()) {
    const int order = left.text().compare(right.text());
    return order < 0 ? -1 : order > 0;
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    const auto &a = left.as<List>().items(), &b = right.as<List>().items();
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (!equal(a[i], b[i])) return compare(a[i], b[i], symbol, depth + 1);
    }
    return a.size() < b.size() ? -1 : a.size() > b.size();
  }
  if (left.is_undefined()) fail_undefined(left);
  if (right.is_undefined()) fail_undefined(right);
  fail("'{}' not supported between instances of '{}' and '{}'", symbol, type_name(left), type_name(right));
}

bool less(const Value& left, const Value& right, const char* symbol) { return compare(left, right, symbol, 0) == -1; }
bool less_equal(const Value& left, const Value& right, const char* symbol) {
  const int order = compare(left, right, symbol, 0);
  return order == -1 || order == 0;
}

}  // namespace automodel::tokenizer::jinja
