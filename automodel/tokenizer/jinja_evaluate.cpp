#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_interpreter.h"
#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

Value Interpreter::evaluate(const Expr& expr) {
  if (expr.kind == ExprKind::kConst) return expr.value;
  runtime_.step();
  if (expr.kind == ExprKind::kName) return evaluate_name(expr);
  Nesting nesting(runtime_);
  switch (expr.kind) {
    case ExprKind::kList:
    case ExprKind::kTuple: {
      std::vector<Value> items;
      items.reserve(expr.items.size());
      for (const auto& item : expr.items) items.push_back(evaluate(*item));
      return runtime_.list(std::move(items), expr.kind == ExprKind::kList ? Kind::kList : Kind::kTuple);
    }
    case ExprKind::kDict:
      return evaluate_dict(expr);
    case ExprKind::kCond:
      if (truth(evaluate(*expr.a))) return evaluate(*expr.b);
      if (expr.c) return evaluate(*expr.c);
      return make_undefined_hint(fmt::format(
          "the inline if-expression on line {} evaluated to false and no else section was defined", expr.line));
    case ExprKind::kOr: {
      Value left = evaluate(*expr.a);
      return truth(left) ? left : evaluate(*expr.b);
    }
    case ExprKind::kAnd: {
      Value left = evaluate(*expr.a);
      return truth(left) ? evaluate(*expr.b) : left;
    }
    case ExprKind::kNot:
      return !truth(evaluate(*expr.a));
    case ExprKind::kCompare:
      return evaluate_compare(expr);
    case ExprKind::kConcat:
      return evaluate_concat(expr);
    case ExprKind::kGetattr:
      return evaluate_getattr(expr);
    case ExprKind::kGetitem:
      return evaluate_getitem(expr);
    case ExprKind::kCall:
      return evaluate_call(expr);
    case ExprKind::kFilter:
    case ExprKind::kTest:
      return evaluate_builtin(expr);
    default:
      return evaluate_binary(expr);
  }
}

Value Interpreter::evaluate_name(const Expr& expr) {
  const Value& value = slot(expr.ref);
  return value.is_missing() ? expr.undefined : value;
}

Value Interpreter::evaluate_binary(const Expr& expr) {
  Value left = evaluate(*expr.a);
  if (expr.kind == ExprKind::kNeg || expr.kind == ExprKind::kPos) {
    line_ = expr.line;
    return expr.kind == ExprKind::kNeg ? negate(left) : plus(left);
  }
  const Value right = evaluate(*expr.b);
  line_ = expr.line;
  switch (expr.kind) {
    case ExprKind::kAdd:
      return add(runtime_, std::move(left), right);
    case ExprKind::kSub:
      return subtract(left, right);
    case ExprKind::kMul:
      return multiply(runtime_, left, right);
    case ExprKind::kDiv:
      return divide(left, right);
    case ExprKind::kFloorDiv:
      return floor_divide(left, right);
    case ExprKind::kMod:
      return modulo(runtime_, left, right);
    case ExprKind::kPow:
      return power(left, right);
    default:
      fail("this expression cannot be evaluated");
  }
}

Value Interpreter::evaluate_compare(const Expr& expr) {
  Value left = evaluate(*expr.items[0]);
  bool result = true;
  for (size_t i = 0; i < expr.ops.size() && result; ++i) {
    Value right = evaluate(*expr.items[i + 1]);
    line_ = expr.line;
    switch (expr.ops[i]) {
      case CompareOp::kEq:
        result = equal(left, right);
        break;
      case CompareOp::kNe:
        result = !equal(left, right);
        break;
      case CompareOp::kLt:
        result = less(left, right);
        break;
      case CompareOp::kLe:
        result = less_equal(left, right);
        break;
      case CompareOp::kGt:
        result = less(right, left, ">");
        break;
      case CompareOp::kGe:
        result = less_equal(right, left, ">=");
        break;
      case CompareOp::kIn:
        result = contains(runtime_, right, left);
        break;
      case CompareOp::kNotIn:
        result = !contains(runtime_, right, left);
        break;
    }
    left = std::move(right);
  }
  return result;
}

Value Interpreter::evaluate_concat(const Expr& expr) {
  std::string text;
  for (const auto& item : expr.items) append_str(runtime_, text, evaluate(*item));
  return runtime_.str(std::move(text));
}

Value Interpreter::evaluate_dict(const Expr& expr) {
  auto* dict = new Dict;
  Value result(dict);
  runtime_.charge(expr.items.size() * sizeof(Value) + 64);
  for (size_t i = 0; i < expr.items.size(); i += 2) {
    Value key = evaluate(*expr.items[i]);
    dict->set(std::move(key), evaluate(*expr.items[i + 1]));
  }
  return result;
}

Value Interpreter::evaluate_getattr(const Expr& expr) {
  const Value object = evaluate(*expr.a);
  line_ = expr.line;
  if (object.is(Kind::kDict) && !expr.methods[1] && expr.name[0] != '_') {  // by far the commonest: message.role
    if (const Value* found = object.as<Dict>().find(expr.name)) return *found;
  }
  return get_attribute(runtime_, object, expr.name);
}

Value Interpreter::evaluate_getitem(const Expr& expr) {
  const Value object = evaluate(*expr.a);
  const Expr& key = *expr.b;
  if (key.kind != ExprKind::kSlice) {
    const Value index = evaluate(key);
    line_ = expr.line;
    if (index.is_str() && object.is(Kind::kDict)) {
      if (const Value* found = object.as<Dict>().find(index.text())) return *found;
    }
    return get_item(runtime_, object, index);
  }
  const Value none = nullptr;
  const Value start = key.a ? evaluate(*key.a) : none;
  const Value stop = key.b ? evaluate(*key.b) : none;
  const Value step = key.c ? evaluate(*key.c) : none;
  line_ = expr.line;
  return slice(runtime_, object, start, stop, step);
}

Args Interpreter::arguments(const Expr& expr) {
  Args args;
  args.positional.reserve(expr.items.size());
  for (const auto& item : expr.items) args.positional.push_back(evaluate(*item));
  for (const auto& [name, value] : expr.named) args.named.emplace_back(name, evaluate(*value));
  if (expr.star) {
    for (auto& item : to_vector(runtime_, evaluate(*expr.star))) args.positional.push_back(std::move(item));
  }
  if (expr.star_star) {
    args.named_source = evaluate(*expr.star_star);
    if (!args.named_source.is(Kind::kDict))
      fail("the argument after ** must be a dict, not {}", type_name(args.named_source));
    for (const auto& [name, value] : args.named_source.as<Dict>().entries()) {
      if (!name.is_str()) fail("keywords must be strings");
      args.named.emplace_back(name.text(), value);
    }
  }
  return args;
}

Value Interpreter::evaluate_builtin(const Expr& expr) {
  const Value subject = expr.a ? evaluate(*expr.a) : std::move(filter_input_);
  line_ = expr.line;
  const char* what = expr.kind == ExprKind::kFilter ? "filter" : "test";
  if (!expr.builtin) fail("no {} named {} found", what, str_repr(expr.name));
  Args args = arguments(expr);
  line_ = expr.line;
  return expr.builtin->call(runtime_, subject, args);
}

}  // namespace automodel::tokenizer::jinja
