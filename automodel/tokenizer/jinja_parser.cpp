#include "automodel/tokenizer/jinja_parser.h"

#include <algorithm>

#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

static constexpr int kMaxNesting = 100;

// Bounds how deeply statements and parentheses nest: parsing recurses.
struct Parser::Deeper {
  explicit Deeper(Parser& p) : parser(p) {
    if (++parser.depth_ > kMaxNesting) parser.fault(fmt::format("nested deeper than {} levels", kMaxNesting));
  }
  ~Deeper() { --parser.depth_; }
  Parser& parser;
};

void Parser::fault(int line, const std::string& text, const std::string& hint) const {
  throw DataError(fmt::format("{}:{}", template_.name, line), text, hint);
}

const Token& Parser::next() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::at_any(const Names& names) const {
  return current().type == Tok::kName && std::find(names.begin(), names.end(), current().text) != names.end();
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

bool Parser::skip(Tok type) {
  if (current().type != type) return false;
  next();
  return true;
}

const Token& Parser::expect(Tok type, const char* what) {
  if (current().type != type) fault(fmt::format("expected {}, got {}", what, describe(current())));
  return next();
}

void Parser::unknown_tag() const {
  const bool ended = current().type == Tok::kEnd;
  std::string text = ended ? "unexpected end of the template" : "unknown tag " + str_repr(current().text);
  if (!ends_.empty()) {
    std::string expected;
    for (const auto& end : ends_.back()) expected += (expected.empty() ? "" : " or ") + str_repr(end);
    text += "; expected " + expected;
  }
  if (!open_tags_.empty()) text += fmt::format(" to close {}", str_repr(open_tags_.back()));
  fault(text);
}

void Parser::run() { template_.body = subparse({}); }

Body Parser::subparse(const Names& ends) {
  Deeper deeper(*this);
  Body body;
  const bool nested = !ends.empty();
  if (nested) ends_.push_back(ends);
  const auto output = [&](ExprPtr item) {
    if (body.empty() || body.back()->kind != StmtKind::kOutput) {
      body.push_back(std::make_unique<Stmt>(StmtKind::kOutput, item->line));
    }
    body.back()->items.push_back(std::move(item));
  };
  while (current().type != Tok::kEnd) {
    if (current().type == Tok::kData) {
      const int line = current().line;
      output(make_const(make_str(std::string(next().text)), line));
    } else if (skip(Tok::kVariableBegin)) {
      output(tuple({}));
      expect(Tok::kVariableEnd, "the end of the print statement");
    } else {
      expect(Tok::kBlockBegin, "a tag");
      if (nested && at_any(ends)) break;
      body.push_back(statement());
      expect(Tok::kBlockEnd, "the end of the statement");
    }
  }
  if (nested) ends_.pop_back();
  return body;
}

Body Parser::statements(const Names& ends) {
  skip(Tok::kColon);
  expect(Tok::kBlockEnd, "the end of the statement");
  Body body = subparse(ends);
  if (current().type == Tok::kEnd) {
    ends_.push_back(ends);
    unknown_tag();
  }
  return body;
}

Body Parser::block_body(const Names& ends, std::string_view tag) {
  open_tags_.emplace_back(tag);
  Body body = statements(ends);
  open_tags_.pop_back();
  return body;
}

StmtPtr Parser::statement() {
  if (current().type != Tok::kName) fault("expected a tag's name, got " + describe(current()));
  const std::string& tag = current().text;
  if (tag == "for") return parse_for();
  if (tag == "if") return parse_if();
  if (tag == "set") return parse_set();
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "filter") return parse_filter_block();
  if (tag == "with") return parse_with();
  if (tag == "block") return parse_block();
  if (tag == "print") return parse_print();
  if (tag == "generation") return parse_generation();
  if (tag == "break" || tag == "continue") return parse_loop_control();
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") {
    return parse_refused("a chat template cannot load other templates");
  }
  if (tag == "autoescape") return parse_autoescape();
  unknown_tag();
}

StmtPtr Parser::parse_for() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kFor, next().line);
  stmt->target = assign_target(false, "in");
  if (!skip_name("in")) fault("expected 'in', got " + describe(current()));
  stmt->expr = tuple({.with_condition = false, .end = "recursive"});
  if (skip_name("if")) stmt->test = expression();
  stmt->recursive = skip_name("recursive");
  ++loops_;
  stmt->body = block_body({"endfor", "else"}, "for");
  --loops_;
  if (next().text == "else") {
    stmt->otherwise = block_body({"endfor"}, "for");
    next();
  }
  return stmt;
}

StmtPtr Parser::parse_if() {
  auto first = std::make_unique<Stmt>(StmtKind::kIf, next().line);
  Stmt* stmt = first.get();
  for (int branches = 0;; ++branches) {
    if (branches > 500) fault("more than 500 branches of one {% if %}");
    stmt->test = tuple({.with_condition = false});
    stmt->body = block_body({"elif", "else", "endif"}, "if");
    const Token& end = next();
    if (end.text == "elif") {
      stmt->otherwise.push_back(std::make_unique<Stmt>(StmtKind::kIf, end.line));
      stmt->otherwise.back()->name = "elif";
      stmt = stmt->otherwise.back().get();
      continue;
    }
    if (end.text == "else") {
      stmt->otherwise = block_body({"endif"}, "if");
      next();
    }
    return first;
  }
}

StmtPtr Parser::parse_set() {
  const int line = next().line;
  auto target = assign_target(true);
  if (skip(Tok::kAssign)) {
    auto stmt = std::make_unique<Stmt>(StmtKind::kSet, line);
    stmt->target = std::move(target);
    stmt->expr = tuple({});
    return stmt;
  }
  auto stmt = std::make_unique<Stmt>(StmtKind::kSetBlock, line);
  stmt->target = std::move(target);
  stmt->expr = filter(nullptr);
  stmt->body = block_body({"endset"}, "set");
  next();
  return stmt;
}

StmtPtr Parser::parse_with() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kWith, next().line);
  while (current().type != Tok::kBlockEnd) {
    if (!stmt->params.empty()) expect(Tok::kComma, "','");
    stmt->params.push_back(assign_target());
    expect(Tok::kAssign, "'='");
    stmt->items.push_back(expression());
  }
  stmt->body = block_body({"endwith"}, "with");
  next();
  return stmt;
}

StmtPtr Parser::parse_autoescape() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kWith, next().line);
  stmt->test = expression();  // must be false when it runs
  stmt->body = block_body({"endautoescape"}, "autoescape");
  next();
  return stmt;
}

StmtPtr Parser::parse_block() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kBlock, next().line);
  stmt->name = expect(Tok::kName, "the block's name").text;
  for (const Stmt* other : template_.blocks) {
    if (other->name == stmt->name) fault(stmt->line, fmt::format("block '{}' is defined twice", stmt->name));
  }
  if (at_name("scoped") || at_name("required")) fault("{% block %} with 'scoped' or 'required' is not supported");
  template_.blocks.push_back(stmt.get());
  const int loops = std::exchange(loops_, 0);
  stmt->body = block_body({"endblock"}, "block");
  loops_ = loops;
  next();
  skip_name(stmt->name);
  return stmt;
}

void Parser::signature(Stmt& stmt) {
  expect(Tok::kLParen, "'('");
  while (current().type != Tok::kRParen) {
    if (!stmt.params.empty()) expect(Tok::kComma, "','");
    auto param = name_target();
    for (const auto& other : stmt.params) {
      if (other->name == param->name) fault(fmt::format("the parameter '{}' is named twice", param->name));
    }
    if (skip(Tok::kAssign))
      stmt.items.push_back(expression());
    else if (!stmt.items.empty())
      fault("a parameter without a default follows one with a default");
    stmt.params.push_back(std::move(param));
  }
  next();
}

StmtPtr Parser::parse_macro() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kMacro, next().line);
  stmt->name = name_target()->name;
  signature(*stmt);
  const int loops = std::exchange(loops_, 0);
  stmt->body = block_body({"endmacro"}, "macro");
  loops_ = loops;
  next();
  return stmt;
}

StmtPtr Parser::parse_call_block() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kCallBlock, next().line);
  if (current().type == Tok::kLParen) signature(*stmt);
  stmt->expr = expression();
  if (stmt->expr->kind != ExprKind::kCall) fault(stmt->line, "{% call %} needs a call");
  const int loops = std::exchange(loops_, 0);
  stmt->body = block_body({"endcall"}, "call");
  loops_ = loops;
  next();
  return stmt;
}

StmtPtr Parser::parse_filter_block() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kFilterBlock, next().line);
  stmt->expr = filter(nullptr, true);
  stmt->body = block_body({"endfilter"}, "filter");
  next();
  return stmt;
}

StmtPtr Parser::parse_print() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kOutput, next().line);
  while (current().type != Tok::kBlockEnd) {
    if (!stmt->items.empty()) expect(Tok::kComma, "','");
    stmt->items.push_back(expression());
  }
  return stmt;
}

StmtPtr Parser::parse_generation() {
  auto stmt = std::make_unique<Stmt>(StmtKind::kGeneration, next().line);
  const int loops = std::exchange(loops_, 0);
  stmt->body = block_body({"endgeneration"}, "generation");
  loops_ = loops;
  next();
  template_.marks_generation = true;
  return stmt;
}

StmtPtr Parser::parse_refused(const char* why) {
  auto stmt = std::make_unique<Stmt>(StmtKind::kRefused, current().line);
  stmt->name = fmt::format("{{% {} %}}: {}", current().text, why);
  while (current().type != Tok::kBlockEnd && current().type != Tok::kEnd) next();
  return stmt;
}

StmtPtr Parser::parse_loop_control() {
  const Token& token = next();
  if (loops_ == 0) fault(token.line, fmt::format("'{}' outside a loop", token.text));
  return std::make_unique<Stmt>(token.text == "break" ? StmtKind::kBreak : StmtKind::kContinue, token.line);
}

std::unique_ptr<Template> parse_template(std::string_view source, const std::string& name) {
  auto result = std::make_unique<Template>();
  result->name = name;
  Parser(tokenize(source, name), *result).run();
  return result;
}

}  // namespace automodel::tokenizer::jinja
