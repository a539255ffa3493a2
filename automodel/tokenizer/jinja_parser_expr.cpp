#include "automodel/tokenizer/jinja_parser.h"

namespace automodel::tokenizer::jinja {

static constexpr int kMaxDepth = 500;

struct Deep {
  int& depth;
  ~Deep() { --depth; }
};

ExprPtr Parser::measured(ExprPtr node) const {
  uint16_t depth = 0;
  const auto see = [&](const ExprPtr& child) {
    if (child) depth = std::max(depth, child->depth);
  };
  for (const ExprPtr* child : {&node->a, &node->b, &node->c, &node->star, &node->star_star}) see(*child);
  for (const auto& child : node->items) see(child);
  for (const auto& child : node->named) see(child.second);
  node->depth = depth + 1;
  if (node->depth > kMaxDepth) fault(node->line, fmt::format("an expression nested deeper than {} levels", kMaxDepth));
  return node;
}

ExprPtr Parser::binary(ExprKind kind, int line, ExprPtr left, ExprPtr right) const {
  auto node = make(kind, line);
  node->a = std::move(left);
  node->b = std::move(right);
  return measured(std::move(node));
}

ExprPtr Parser::expression(bool with_condition) {
  if (depth_ > 99) fault("expressions nested deeper than 100 levels");
  ++depth_;
  Deep deep{depth_};
  return with_condition ? condition() : disjunction();
}

ExprPtr Parser::condition() {
  int line = current().line;
  auto then = disjunction();
  while (skip_name("if")) {
    auto node = make(ExprKind::kCond, line);
    node->a = disjunction();
    node->b = std::move(then);
    if (skip_name("else")) node->c = expression();
    then = measured(std::move(node));
    line = current().line;
  }
  return then;
}

ExprPtr Parser::disjunction() {
  const int line = current().line;
  auto left = conjunction();
  while (skip_name("or")) left = binary(ExprKind::kOr, line, std::move(left), conjunction());
  return left;
}

ExprPtr Parser::conjunction() {
  const int line = current().line;
  auto left = negation();
  while (skip_name("and")) left = binary(ExprKind::kAnd, line, std::move(left), negation());
  return left;
}

ExprPtr Parser::negation() {
  if (!at_name("not")) return comparison();
  if (depth_ > 99) fault("expressions nested deeper than 100 levels");
  ++depth_;
  Deep deep{depth_};
  const int line = next().line;
  return binary(ExprKind::kNot, line, negation(), nullptr);
}

ExprPtr Parser::comparison() {
  const int line = current().line;
  auto first = sum();
  ExprPtr node;
  while (true) {
    CompareOp op;
    switch (current().type) {
      case Tok::kEq:
        op = CompareOp::kEq;
        break;
      case Tok::kNe:
        op = CompareOp::kNe;
        break;
      case Tok::kLt:
        op = CompareOp::kLt;
        break;
      case Tok::kLe:
        op = CompareOp::kLe;
        break;
      case Tok::kGt:
        op = CompareOp::kGt;
        break;
      case Tok::kGe:
        op = CompareOp::kGe;
        break;
      case Tok::kName:
        if (at_name("in")) {
          op = CompareOp::kIn;
          break;
        }
        if (at_name("not") && look().type == Tok::kName && look().text == "in") {
          next();
          op = CompareOp::kNotIn;
          break;
        }
        [[fallthrough]];
      default:
        return node ? measured(std::move(node)) : std::move(first);
    }
    next();
    if (!node) {
      node = make(ExprKind::kCompare, line);
      node->items.push_back(std::move(first));
    }
    node->ops.push_back(op);
    node->items.push_back(sum());
  }
}

ExprPtr Parser::sum() {
  const int line = current().line;
  auto left = concatenation();
  while (current().type == Tok::kAdd || current().type == Tok::kSub) {
    const auto kind = next().type == Tok::kAdd ? ExprKind::kAdd : ExprKind::kSub;
    left = binary(kind, line, std::move(left), concatenation());
  }
  return left;
}

ExprPtr Parser::concatenation() {
  const int line = current().line;
  auto first = product();
  if (current().type != Tok::kTilde) return first;
  auto node = make(ExprKind::kConcat, line);
  node->items.push_back(std::move(first));
  while (skip(Tok::kTilde)) node->items.push_back(product());
  return measured(std::move(node));
}

ExprPtr Parser::product() {
  const int line = current().line;
  auto left = power();
  while (true) {
    ExprKind kind;
    switch (current().type) {
      case Tok::kMul:
        kind = ExprKind::kMul;
        break;
      case Tok::kDiv:
        kind = ExprKind::kDiv;
        break;
      case Tok::kFloorDiv:
        kind = ExprKind::kFloorDiv;
        break;
      case Tok::kMod:
        kind = ExprKind::kMod;
        break;
      default:
        return left;
    }
    next();
    left = binary(kind, line, std::move(left), power());
  }
}

ExprPtr Parser::power() {
  const int line = current().line;
  auto left = unary();
  while (skip(Tok::kPow)) left = binary(ExprKind::kPow, line, std::move(left), unary());
  return left;
}

ExprPtr Parser::unary(bool with_filter) {
  const Token& token = current();
  ExprPtr node;
  if (token.type == Tok::kSub || token.type == Tok::kAdd) {
    if (depth_ > 99) fault("expressions nested deeper than 100 levels");
    ++depth_;
    Deep deep{depth_};
    next();
    node = binary(token.type == Tok::kSub ? ExprKind::kNeg : ExprKind::kPos, token.line, unary(false), nullptr);
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

}  // namespace automodel::tokenizer::jinja
