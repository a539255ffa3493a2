#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_parser.h"

namespace automodel::tokenizer::jinja {

ExprPtr Parser::make_const(Value value, int line) {
  auto node = make(ExprKind::kConst, line);
  if (value.is_str()) {  // owned by the template, shared by its renders: never counted, length known
    auto* constant = value.object();
    value.as<Str>().length();
    constant->refs = kImmortal;
    template_.constants.emplace_back(constant);
  }
  node->value = std::move(value);
  return node;
}

ExprPtr Parser::primary(bool with_namespace) {
  const Token& token = current();
  switch (token.type) {
    case Tok::kName: {
      next();
      const std::string& name = token.text;
      if (name == "true" || name == "True") return make_const(true, token.line);
      if (name == "false" || name == "False") return make_const(false, token.line);
      if (name == "none" || name == "None") return make_const(nullptr, token.line);
      if (with_namespace && skip(Tok::kDot)) {
        auto node = make(ExprKind::kNamespaceRef, token.line);
        node->name = name;
        node->attribute = expect(Tok::kName, "an attribute's name").text;
        return node;
      }
      auto node = make(ExprKind::kName, token.line);
      node->name = name;
      return node;
    }
    case Tok::kString:
      return string();
    case Tok::kInteger:
      return make_const(next().integer, token.line);
    case Tok::kFloat:
      return make_const(next().number, token.line);
    case Tok::kLParen: {
      next();
      auto node = tuple({.parentheses = true});
      expect(Tok::kRParen, "')'");
      return node;
    }
    case Tok::kLBracket:
      return list();
    case Tok::kLBrace:
      return dict();
    default:
      fault("expected an expression, got " + describe(token));
  }
}

ExprPtr Parser::string() {
  const int line = current().line;
  std::string text;
  while (current().type == Tok::kString) text += next().text;  // neighbours join, as in Python
  return make_const(make_str(std::move(text)), line);
}

ExprPtr Parser::tuple(const TupleMode& mode) {
  int line = current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  const auto at_end = [&] {
    const Tok type = current().type;
    return type == Tok::kVariableEnd || type == Tok::kBlockEnd || type == Tok::kRParen ||
           (!mode.end.empty() && at_name(mode.end));
  };
  while (true) {
    if (!items.empty()) expect(Tok::kComma, "','");
    if (at_end()) break;
    items.push_back(mode.simplified ? primary(mode.with_namespace) : expression(mode.with_condition));
    if (current().type != Tok::kComma) break;
    is_tuple = true;
    line = current().line;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items.front());
    if (!mode.parentheses) fault("expected an expression, got " + describe(current()));
  }
  auto node = make(ExprKind::kTuple, line);
  node->items = std::move(items);
  return measured(std::move(node));
}

ExprPtr Parser::list() {
  auto node = make(ExprKind::kList, next().line);
  while (current().type != Tok::kRBracket) {
    if (!node->items.empty()) expect(Tok::kComma, "','");
    if (current().type == Tok::kRBracket) break;
    node->items.push_back(expression());
  }
  next();
  return measured(std::move(node));
}

ExprPtr Parser::dict() {
  auto node = make(ExprKind::kDict, next().line);
  while (current().type != Tok::kRBrace) {
    if (!node->items.empty()) expect(Tok::kComma, "','");
    if (current().type == Tok::kRBrace) break;
    node->items.push_back(expression());
    expect(Tok::kColon, "':'");
    node->items.push_back(expression());
  }
  next();
  return measured(std::move(node));
}

ExprPtr Parser::postfix(ExprPtr node) {
  while (true) {
    if (current().type == Tok::kDot || current().type == Tok::kLBracket)
      node = subscript(std::move(node));
    else if (current().type == Tok::kLParen)
      node = call(std::move(node));
    else
      return node;
  }
}

ExprPtr Parser::filters_and_tests(ExprPtr node) {
  while (true) {
    if (current().type == Tok::kPipe)
      node = filter(std::move(node));
    else if (at_name("is"))
      node = test(std::move(node));
    else if (current().type == Tok::kLParen)
      node = call(std::move(node));
    else
      return node;
  }
}

ExprPtr Parser::subscript(ExprPtr object) {
  const Token& token = next();
  if (token.type == Tok::kDot) {
    const Token& attribute = next();
    if (attribute.type == Tok::kName) {
      auto node = make(ExprKind::kGetattr, token.line);
      node->a = std::move(object);
      node->name = attribute.text;
      constexpr Kind kKinds[] = {Kind::kStr, Kind::kDict, Kind::kList, Kind::kTuple};
      for (int i = 0; i < 4; ++i) node->methods[i] = find_method(kKinds[i], attribute.text);
      return measured(std::move(node));
    }
    if (attribute.type != Tok::kInteger)
      fault(attribute.line, "expected a name or a number after '.', got " + describe(attribute));
    return binary(ExprKind::kGetitem, token.line, std::move(object), make_const(attribute.integer, attribute.line));
  }
  std::vector<ExprPtr> items;
  while (current().type != Tok::kRBracket) {
    if (!items.empty()) expect(Tok::kComma, "','");
    items.push_back(subscribed());
  }
  next();
  if (items.size() == 1) return binary(ExprKind::kGetitem, token.line, std::move(object), std::move(items.front()));
  auto index = make(ExprKind::kTuple, token.line);
  for (auto& item : items) {
    if (item->kind == ExprKind::kSlice) fault(token.line, "a slice cannot be part of a tuple");
    index->items.push_back(std::move(item));
  }
  return binary(ExprKind::kGetitem, token.line, std::move(object), measured(std::move(index)));
}

ExprPtr Parser::subscribed() {
  const int line = current().line;
  ExprPtr start;
  if (current().type != Tok::kColon) {
    start = expression();
    if (current().type != Tok::kColon) return start;
  }
  next();
  auto node = make(ExprKind::kSlice, line);
  node->a = std::move(start);
  const auto ends = [&] { return current().type == Tok::kRBracket || current().type == Tok::kComma; };
  if (current().type != Tok::kColon && !ends()) node->b = expression();
  if (skip(Tok::kColon) && !ends()) node->c = expression();
  return measured(std::move(node));
}

void Parser::call_arguments(Expr& node) {
  const int line = current().line;
  expect(Tok::kLParen, "'('");
  const auto ensure = [&](bool ok) {
    if (!ok) fault(line, "invalid order of arguments in a call");
  };
  for (bool first = true; current().type != Tok::kRParen; first = false) {
    if (!first) {
      expect(Tok::kComma, "','");
      if (current().type == Tok::kRParen) break;
    }
    if (skip(Tok::kMul)) {
      ensure(!node.star && !node.star_star);
      node.star = expression();
    } else if (skip(Tok::kPow)) {
      ensure(!node.star_star);
      node.star_star = expression();
    } else if (current().type == Tok::kName && look().type == Tok::kAssign) {
      ensure(!node.star_star);
      const std::string& key = next().text;
      next();
      for (const auto& other : node.named) {
        if (other.first == key) fault(fmt::format("the argument '{}' is given twice", key));
      }
      node.named.emplace_back(key, expression());
    } else {
      ensure(!node.star && !node.star_star && node.named.empty());
      node.items.push_back(expression());
    }
  }
  next();
}

ExprPtr Parser::call(ExprPtr callee) {
  auto node = make(ExprKind::kCall, current().line);
  node->a = std::move(callee);
  call_arguments(*node);
  return measured(std::move(node));
}

ExprPtr Parser::filter(ExprPtr subject, bool start_inline) {
  while (current().type == Tok::kPipe || start_inline) {
    if (!start_inline) next();
    start_inline = false;
    const Token& token = expect(Tok::kName, "a filter's name");
    auto node = make(ExprKind::kFilter, token.line);
    node->name = token.text;
    while (skip(Tok::kDot)) node->name += "." + expect(Tok::kName, "a name").text;
    node->a = std::move(subject);
    if (current().type == Tok::kLParen) call_arguments(*node);
    node->builtin = find_filter(node->name);
    subject = measured(std::move(node));
  }
  return subject;
}

ExprPtr Parser::test(ExprPtr subject) {
  const int line = next().line;
  const bool negated = skip_name("not");
  auto node = make(ExprKind::kTest, line);
  node->name = expect(Tok::kName, "a test's name").text;
  while (skip(Tok::kDot)) node->name += "." + expect(Tok::kName, "a name").text;
  node->a = std::move(subject);
  node->builtin = find_test(node->name);
  switch (current().type) {
    case Tok::kLParen:
      call_arguments(*node);
      break;
    case Tok::kName:
      if (at_name("else") || at_name("or") || at_name("and")) break;
      if (at_name("is")) fault("tests cannot be chained with 'is'");
      [[fallthrough]];
    case Tok::kString:
    case Tok::kInteger:
    case Tok::kFloat:
    case Tok::kLBracket:
    case Tok::kLBrace:
      node->items.push_back(postfix(primary()));
      break;
    default:
      break;
  }
  auto result = measured(std::move(node));
  return negated ? binary(ExprKind::kNot, line, std::move(result), nullptr) : std::move(result);
}

void Parser::mark_stores(Expr& target) const {
  switch (target.kind) {
    case ExprKind::kName:
      target.stores = true;
      break;
    case ExprKind::kNamespaceRef:
      break;
    case ExprKind::kTuple:
      target.stores = true;
      for (auto& item : target.items) mark_stores(*item);
      break;
    default:
      fault(target.line, "this cannot be assigned to");
  }
}

ExprPtr Parser::assign_target(bool with_namespace, std::string_view end) {
  auto target = tuple({.simplified = true, .with_namespace = with_namespace, .end = end});
  mark_stores(*target);
  return target;
}

ExprPtr Parser::name_target() {
  const Token& token = expect(Tok::kName, "a name");
  for (const char* reserved : {"true", "false", "none", "True", "False", "None"}) {
    if (token.text == reserved) fault(token.line, fmt::format("'{}' cannot be assigned to", token.text));
  }
  auto node = make(ExprKind::kName, token.line);
  node->name = token.text;
  node->stores = true;
  return node;
}

}  // namespace automodel::tokenizer::jinja
