#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

template <bool (*Holds)(const Value&)>
Value plain(Runtime&, const Value& subject, Args& args) {
  bind_none("test", args);
  return Holds(subject);
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.as_bool(); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.as_bool(); }
bool is_integer(const Value& v) { return v.is(Kind::kInt); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool is_string(const Value& v) { return v.is_str(); }
bool is_mapping(const Value& v) { return v.is(Kind::kDict); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_sequence(const Value& v) { return try_length(v).has_value() && !v.is(Kind::kDictView); }
bool is_escaped(const Value& v) { return v.is_str() && v.as<Str>().markup; }
bool is_callable(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kMacro:
    case Kind::kFunction:
    case Kind::kMethod:
    case Kind::kLoop:
    case Kind::kJoiner:
      return true;
    default:
      return false;
  }
}

Value text_is(Runtime& runtime, const Value& subject, Args& args, const char* method) {
  bind_none("test", args);
  return find_method(Kind::kStr, method)->call(runtime, as_str(runtime, subject), args);
}

Value remainder_is(Runtime& runtime, const Value& subject, const Value& by, int wanted) {
  return equal(modulo(runtime, subject, by), wanted);
}

Value divisible(Runtime& runtime, const Value& subject, Args& args) {
  auto [by] = bind("divisibleby", args, {"num"}, 1);
  return remainder_is(runtime, subject, by, 0);
}

enum class Relation : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

template <Relation R>
Value related(Runtime&, const Value& left, Args& args) {
  auto [right] = bind("test", args, {"other"}, 1);
  switch (R) {
    case Relation::kEqual:
      return equal(left, right);
    case Relation::kNotEqual:
      return !equal(left, right);
    case Relation::kLess:
      return less(left, right);
    case Relation::kLessEqual:
      return less_equal(left, right);
    case Relation::kGreater:
      return less(right, left, ">");
    default:
      return less_equal(right, left, ">=");
  }
}

const BuiltinTable& relations() {
  static const BuiltinTable table = {
      {"==", related<Relation::kEqual>},
      {"eq", related<Relation::kEqual>},
      {"equalto", related<Relation::kEqual>},
      {"!=", related<Relation::kNotEqual>},
      {"ne", related<Relation::kNotEqual>},
      {"<", related<Relation::kLess>},
      {"lt", related<Relation::kLess>},
      {"lessthan", related<Relation::kLess>},
      {"<=", related<Relation::kLessEqual>},
      {"le", related<Relation::kLessEqual>},
      {">", related<Relation::kGreater>},
      {"gt", related<Relation::kGreater>},
      {"greaterthan", related<Relation::kGreater>},
      {">=", related<Relation::kGreaterEqual>},
      {"ge", related<Relation::kGreaterEqual>},
  };
  return table;
}

}  // namespace

void add_tests(BuiltinTable& table) {
  const BuiltinTable tests = {
      {"defined", plain<is_defined>},
      {"undefined", plain<is_undefined>},
      {"none", plain<is_none>},
      {"boolean", plain<is_boolean>},
      {"false", plain<is_false>},
      {"true", plain<is_true>},
      {"integer", plain<is_integer>},
      {"float", plain<is_float>},
      {"string", plain<is_string>},
      {"mapping", plain<is_mapping>},
      {"number", plain<is_number>},
      {"sequence", plain<is_sequence>},
      {"iterable", plain<is_iterable>},
      {"callable", plain<is_callable>},
      {"escaped", plain<is_escaped>},
      {"lower", [](Runtime& r, const Value& v, Args& a) { return text_is(r, v, a, "islower"); }},
      {"upper", [](Runtime& r, const Value& v, Args& a) { return text_is(r, v, a, "isupper"); }},
      {"odd",
       [](Runtime& r, const Value& v, Args& a) {
         bind_none("odd", a);
         return remainder_is(r, v, 2, 1);
       }},
      {"even",
       [](Runtime& r, const Value& v, Args& a) {
         bind_none("even", a);
         return remainder_is(r, v, 2, 0);
       }},
      {"divisibleby", divisible},
      {"filter",
       [](Runtime&, const Value& v, Args& a) {
         bind_none("filter", a);
         return Value(v.is_str() && find_filter(v.text()));
       }},
      {"test",
       [](Runtime&, const Value& v, Args& a) {
         bind_none("test", a);
         return Value(v.is_str() && find_test(v.text()));
       }},
      {"sameas",
       [](Runtime&, const Value& v, Args& a) {
         auto [other] = bind("sameas", a, {"other"}, 1);
         return Value(same(v, other));
       }},
      {"in",
       [](Runtime& r, const Value& v, Args& a) {
         auto [seq] = bind("in", a, {"seq"}, 1);
         return Value(contains(r, seq, v));
       }},
  };
  table.insert(table.end(), tests.begin(), tests.end());
  table.insert(table.end(), relations().begin(), relations().end());
}

}  // namespace automodel::tokenizer::jinja
