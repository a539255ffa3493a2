// Parser: tokens to a syntax tree, as jinja2's grammar with loop controls and {% generation %}.
#pragma once

#include "automodel/tokenizer/jinja_ast.h"
#include "automodel/tokenizer/jinja_lexer.h"

namespace automodel::tokenizer::jinja {

/// Throws DataError{"name:line"}. Names are not bound yet.
std::unique_ptr<Template> parse_template(std::string_view source, const std::string& name);

class Parser {
 public:
  Parser(std::vector<Token> tokens, Template& out) : tokens_(std::move(tokens)), template_(out) {}
  void run();

 private:
  using Names = std::vector<std::string_view>;

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& next();
  bool at_name(std::string_view name) const { return current().type == Tok::kName && current().text == name; }
  bool at_any(const Names& names) const;
  bool skip_name(std::string_view name);
  bool skip(Tok type);
  const Token& expect(Tok type, const char* what);
  [[noreturn]] void fault(int line, const std::string& text, const std::string& hint = "") const;
  [[noreturn]] void fault(const std::string& text) const { fault(current().line, text); }
  [[noreturn]] void unknown_tag() const;

  // Statements.
  Body statements(const Names& ends);  // from behind the tag's words to the end tag, whose name is current
  Body block_body(const Names& ends, std::string_view tag);
  Body subparse(const Names& ends);
  StmtPtr statement();
  StmtPtr parse_for();
  StmtPtr parse_if();
  StmtPtr parse_set();
  StmtPtr parse_with();
  StmtPtr parse_autoescape();
  StmtPtr parse_block();
  StmtPtr parse_macro();
  StmtPtr parse_call_block();
  StmtPtr parse_filter_block();
  StmtPtr parse_print();
  StmtPtr parse_generation();
  StmtPtr parse_refused(const char* why);
  StmtPtr parse_loop_control();
  void signature(Stmt& stmt);

  // Expressions.
  ExprPtr expression(bool with_condition = true);
  ExprPtr condition();
  ExprPtr disjunction();
  ExprPtr conjunction();
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter = true);
  ExprPtr primary(bool with_namespace = false);
  ExprPtr postfix(ExprPtr node);
  ExprPtr filters_and_tests(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr subscribed();
  ExprPtr call(ExprPtr node);
  ExprPtr filter(ExprPtr node, bool start_inline = false);
  ExprPtr test(ExprPtr node);
  ExprPtr list();
  ExprPtr dict();
  ExprPtr string();
  void call_arguments(Expr& node);

  struct TupleMode {
    bool simplified = false, with_condition = true, parentheses = false, with_namespace = false;
    std::string_view end;  // a name that ends the tuple
  };
  ExprPtr tuple(const TupleMode& mode);
  ExprPtr assign_target(bool with_namespace = false, std::string_view end = "");
  ExprPtr name_target();

  ExprPtr make(ExprKind kind, int line) const { return std::make_unique<Expr>(kind, line); }
  ExprPtr make_const(Value value, int line);
  ExprPtr binary(ExprKind kind, int line, ExprPtr left, ExprPtr right) const;
  ExprPtr measured(ExprPtr node) const;  // sets the depth of the tree and bounds it
  void mark_stores(Expr& target) const;
  struct Deeper;

  std::vector<Token> tokens_;
  Template& template_;
  size_t at_ = 0;
  int depth_ = 0, loops_ = 0;
  std::vector<std::string> open_tags_;
  std::vector<Names> ends_;
};

}  // namespace automodel::tokenizer::jinja
