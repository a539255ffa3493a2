#include "automodel/tokenizer/jinja_symbols.h"

namespace automodel::tokenizer::jinja {

const Symbols::Slot* Symbols::find(const std::string& name) const {
  for (const Symbols* s = this; s; s = s->parent) {
    if (const auto found = s->refs.find(name); found != s->refs.end()) return &found->second;
  }
  return nullptr;
}

Symbols::Slot Symbols::define(const std::string& name, Origin origin) {
  const auto [place, fresh] = function->slots.try_emplace({level, tag + name}, function->function.slots);
  if (fresh) ++function->function.slots;
  const Slot slot{function, place->second};
  refs[name] = slot;
  origins[slot] = std::move(origin);
  return slot;
}

void Symbols::load(const std::string& name) {
  if (!find(name)) define(name, {Origin::How::kResolve, {}, name});
}

void Symbols::store(const std::string& name) {
  stores.insert(name);
  if (refs.count(name)) return;
  if (const Slot* outer = parent ? parent->find(name) : nullptr)
    define(name, {Origin::How::kAlias, *outer, ""});
  else
    define(name, {Origin::How::kNothing, {}, ""});
}

Symbols::Slot Symbols::declare(const std::string& name) {
  stores.insert(name);
  return define(name, {Origin::How::kParameter, {}, ""});
}

void Symbols::merge(const std::vector<Symbols>& branches) {
  std::set<std::string> stored;
  for (const auto& branch : branches) stored.insert(branch.stores.begin(), branch.stores.end());
  for (const auto& name : stores) stored.erase(name);
  for (const auto& branch : branches) {
    for (const auto& [name, slot] : branch.refs) refs[name] = slot;
    for (const auto& [slot, origin] : branch.origins) origins[slot] = origin;
    stores.insert(branch.stores.begin(), branch.stores.end());
  }
  // Stored by some branches only: it must hold something when none of them runs.
  for (const auto& name : stored) {
    const Slot slot = *find(name);
    if (const Slot* outer = parent ? parent->find(name) : nullptr)
      origins[slot] = {Origin::How::kAlias, *outer, ""};
    else
      origins[slot] = {Origin::How::kResolve, {}, name};
  }
}

void visit(Symbols& symbols, const Expr* expr) {
  if (!expr) return;
  if (expr->kind == ExprKind::kName) {
    if (expr->stores)
      symbols.store(expr->name);
    else
      symbols.load(expr->name);
    return;
  }
  if (expr->kind == ExprKind::kNamespaceRef) symbols.load(expr->name);
  for (const auto* child : {&expr->a, &expr->b, &expr->c, &expr->star, &expr->star_star}) visit(symbols, child->get());
  for (const auto& item : expr->items) visit(symbols, item.get());
  for (const auto& item : expr->named) visit(symbols, item.second.get());
}

static void visit_if(Symbols& symbols, const Stmt& stmt) {
  visit(symbols, stmt.test.get());
  std::vector<Symbols> branches(2, symbols);
  visit(branches[0], stmt.body);
  visit(branches[1], stmt.otherwise);
  symbols.merge(branches);
}

void visit(Symbols& symbols, const Body& body) {
  for (const auto& stmt : body) {
    switch (stmt->kind) {
      case StmtKind::kIf:
        visit_if(symbols, *stmt);
        break;
      case StmtKind::kMacro:
        symbols.store(stmt->name);
        break;
      case StmtKind::kSet:
        visit(symbols, stmt->expr.get());
        visit(symbols, stmt->target.get());
        break;
      case StmtKind::kSetBlock:
        visit(symbols, stmt->target.get());
        break;
      case StmtKind::kFor:
      case StmtKind::kCallBlock:
      case StmtKind::kFilterBlock:
        visit(symbols, stmt->expr.get());
        break;
      case StmtKind::kOutput:
      case StmtKind::kWith:
        for (const auto& item : stmt->items) visit(symbols, item.get());
        break;
      case StmtKind::kBlock:
      case StmtKind::kGeneration:
      case StmtKind::kBreak:
      case StmtKind::kContinue:
      case StmtKind::kRefused:
        break;
    }
  }
}

void declare_target(Symbols& symbols, const Expr& target) {
  if (target.kind == ExprKind::kName) symbols.declare(target.name);
  for (const auto& item : target.items) declare_target(symbols, *item);
}

namespace {

struct Reader {
  std::string_view name;
  bool open = true, found = false;

  void expr(const Expr* e) {
    if (!e || !open || found) return;
    if (e->kind == ExprKind::kName && e->name == name) {
      if (e->stores)
        open = false;
      else
        found = true;
      return;
    }
    for (const auto* child : {&e->a, &e->b, &e->c}) expr(child->get());
    for (const auto& item : e->items) expr(item.get());
    for (const auto& item : e->named) expr(item.second.get());
    for (const auto* child : {&e->star, &e->star_star}) expr(child->get());
  }
  void exprs(const std::vector<ExprPtr>& items) {
    for (const auto& item : items) expr(item.get());
  }
  void body(const Body& statements) {
    for (const auto& stmt : statements) {
      if (stmt->kind == StmtKind::kBlock) continue;
      if (stmt->kind == StmtKind::kFilterBlock) {
        body(stmt->body);
        expr(stmt->expr.get());
        continue;
      }
      if (stmt->kind == StmtKind::kIf || stmt->kind == StmtKind::kWith) expr(stmt->test.get());
      expr(stmt->target.get());
      expr(stmt->expr.get());
      exprs(stmt->params);
      exprs(stmt->items);
      body(stmt->body);
      body(stmt->otherwise);
      if (stmt->kind == StmtKind::kFor) expr(stmt->test.get());
    }
  }
};

}  // namespace

bool reads(const Body& body, std::string_view name) {
  Reader reader{name};
  reader.body(body);
  return reader.found;
}

}  // namespace automodel::tokenizer::jinja
