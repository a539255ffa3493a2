#include "automodel/tokenizer/jinja_scope.h"

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/tokenizer/jinja_symbols.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

class Binder {
 public:
  explicit Binder(Template& out) : template_(out) {}

  void run() {
    FunctionScope function(template_.function, nullptr);
    Symbols symbols(function, nullptr, 0);
    if (reads(template_.body, "self")) template_.self_slot = symbols.declare("self").slot;
    visit(symbols, template_.body);
    root_ = &symbols;
    template_.loads = loads(symbols);
    body(template_.body, symbols, false);
  }

 private:
  [[noreturn]] void fault(int line, const std::string& text) const {
    throw DataError(fmt::format("{}:{}", template_.name, line), text);
  }

  int intern(const std::string& name) {
    auto& names = template_.names;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<int>(found - names.begin());
    names.push_back(name);
    return static_cast<int>(names.size()) - 1;
  }

  static Ref ref(const Symbols& symbols, const Symbols::Slot& slot) {
    int hops = 0;
    for (const FunctionScope* f = symbols.function; f != slot.function; f = f->parent) ++hops;
    return {hops, slot.slot};
  }

  Loads loads(const Symbols& symbols) {
    Loads out;
    for (const auto& [slot, origin] : symbols.origins) {
      switch (origin.how) {
        case Symbols::Origin::How::kParameter:
          break;
        case Symbols::Origin::How::kNothing:
          out.push_back({Load::How::kClear, slot.slot, {}, 0});
          break;
        case Symbols::Origin::How::kAlias:
          out.push_back({Load::How::kAlias, slot.slot, ref(symbols, origin.from), 0});
          break;
        case Symbols::Origin::How::kResolve: {
          Load load{Load::How::kResolve, slot.slot, {}, intern(origin.name)};
          // A block sees what the template itself has set so far.
          if (in_block_ && root_->stores.count(origin.name)) load.from = ref(symbols, *root_->find(origin.name));
          out.push_back(load);
        }
      }
    }
    return out;
  }

  void expr(Expr* e, Symbols& symbols, bool soft) {
    if (!e) return;
    switch (e->kind) {
      case ExprKind::kName: {
        if (e->stores && e->name == "loop" && in_loop_)
          fault(e->line, "'loop' is special inside a loop and cannot be assigned to");
        const Symbols::Slot* slot = symbols.find(e->name);
        AM_CHECK(slot, "the name {} was not analysed", e->name);
        e->ref = ref(symbols, *slot);
        if (e->name == "loop" && !e->stores) ++loop_reads_;
        if (!e->stores) e->undefined = undefined(e->name);
        return;
      }
      case ExprKind::kNamespaceRef:
        e->ref = ref(symbols, *symbols.find(e->name));
        return;
      case ExprKind::kCond:
        soft = true;
        break;
      case ExprKind::kFilter:
      case ExprKind::kTest:
        if (!e->builtin && !soft) {
          fault(e->line,
                fmt::format("no {} named {}", e->kind == ExprKind::kFilter ? "filter" : "test", str_repr(e->name)));
        }
        break;
      default:
        break;
    }
    for (auto* child : {&e->a, &e->b, &e->c, &e->star, &e->star_star}) expr(child->get(), symbols, soft);
    for (auto& item : e->items) expr(item.get(), symbols, soft);
    for (auto& item : e->named) expr(item.second.get(), symbols, soft);
  }

  Value undefined(const std::string& name) {
    auto& shared = undefined_[name];
    if (shared.is_missing()) {
      shared = make_undefined(name);
      shared.object()->refs = kImmortal;
      template_.constants.emplace_back(shared.object());
    }
    return shared;
  }

  void exprs(std::vector<ExprPtr>& items, Symbols& symbols, bool soft) {
    for (auto& item : items) expr(item.get(), symbols, soft);
  }

  void body(Body& statements, Symbols& symbols, bool soft) {
    for (auto& stmt : statements) bind(*stmt, symbols, soft);
  }

  void bind(Stmt& stmt, Symbols& symbols, bool soft) {
    switch (stmt.kind) {
      case StmtKind::kOutput:
        exprs(stmt.items, symbols, soft);
        break;
      case StmtKind::kIf:
        expr(stmt.test.get(), symbols, true);
        body(stmt.body, symbols, true);
        body(stmt.otherwise, symbols, true);
        break;
      case StmtKind::kSet:
        expr(stmt.expr.get(), symbols, soft);
        expr(stmt.target.get(), symbols, soft);
        break;
      case StmtKind::kFor:
        bind_for(stmt, symbols, soft);
        break;
      case StmtKind::kWith:
        bind_with(stmt, symbols, soft);
        break;
      case StmtKind::kSetBlock:
        expr(stmt.target.get(), symbols, soft);
        [[fallthrough]];
      case StmtKind::kFilterBlock: {
        Symbols inner(*symbols.function, &symbols, symbols.level + 1);
        visit(inner, stmt.body);
        visit(inner, stmt.expr.get());
        stmt.loads = loads(inner);
        body(stmt.body, inner, false);
        expr(stmt.expr.get(), inner, false);
        break;
      }
      case StmtKind::kMacro:
        stmt.ref = ref(symbols, *symbols.find(stmt.name));
        bind_macro(stmt, symbols);
        break;
      case StmtKind::kCallBlock:
        expr(stmt.expr.get(), symbols, soft);
        [[fallthrough]];
      case StmtKind::kGeneration:
        bind_macro(stmt, symbols);
        break;
      case StmtKind::kBlock:
        bind_block(stmt, symbols);
        break;
      case StmtKind::kBreak:
      case StmtKind::kContinue:
      case StmtKind::kRefused:
        break;
    }
  }

  static ExprPtr copy_target(const Expr& target) {
    auto copy = std::make_unique<Expr>(target.kind, target.line);
    copy->name = target.name;
    copy->stores = target.stores;
    for (const auto& item : target.items) copy->items.push_back(copy_target(*item));
    return copy;
  }

  void bind_for(Stmt& stmt, Symbols& symbols, bool soft) {
    expr(stmt.expr.get(), symbols, soft);
    const bool was_in_loop = std::exchange(in_loop_, true);
    if (stmt.test) {
      Symbols filter(*symbols.function, &symbols, symbols.level + 1, "filter ");
      declare_target(filter, *stmt.target);
      visit(filter, stmt.test.get());
      stmt.test_loads = loads(filter);
      stmt.test_target = copy_target(*stmt.target);
      expr(stmt.test_target.get(), filter, soft);
      expr(stmt.test.get(), filter, false);
    }
    FunctionScope own(stmt.function, symbols.function);
    FunctionScope& function = stmt.recursive ? own : *symbols.function;
    if (stmt.recursive) symbols.function->function.has_closures = true;
    Symbols inner(function, &symbols, symbols.level + 1);
    stmt.loop_slot = inner.declare("loop").slot;
    declare_target(inner, *stmt.target);
    visit(inner, stmt.body);
    stmt.loads = loads(inner);
    const int reads_before = loop_reads_;
    expr(stmt.target.get(), inner, false);
    body(stmt.body, inner, false);
    stmt.uses_loop = stmt.recursive || loop_reads_ > reads_before;
    if (!stmt.otherwise.empty()) {
      Symbols other(function, &symbols, symbols.level + 1);
      visit(other, stmt.otherwise);
      stmt.else_loads = loads(other);
      body(stmt.otherwise, other, false);
    }
    in_loop_ = was_in_loop;
  }

  void bind_with(Stmt& stmt, Symbols& symbols, bool soft) {
    exprs(stmt.items, symbols, soft);
    Symbols inner(*symbols.function, &symbols, symbols.level + 1);
    for (const auto& target : stmt.params) declare_target(inner, *target);
    visit(inner, stmt.test.get());
    visit(inner, stmt.body);
    stmt.loads = loads(inner);
    exprs(stmt.params, inner, false);
    expr(stmt.test.get(), inner, false);
    body(stmt.body, inner, false);
  }

  void bind_macro(Stmt& stmt, Symbols& symbols) {
    symbols.function->function.has_closures = true;
    FunctionScope function(stmt.function, symbols.function);
    Symbols inner(function, &symbols, symbols.level + 1);
    bool has_caller = false, has_kwargs = false, has_varargs = false;
    for (size_t i = 0; i < stmt.params.size(); ++i) {
      const std::string& name = stmt.params[i]->name;
      inner.declare(name);
      has_caller |= name == "caller";
      has_kwargs |= name == "kwargs";
      has_varargs |= name == "varargs";
      const bool has_default = i + stmt.items.size() >= stmt.params.size();
      if (name == "caller" && !has_default && reads(stmt.body, "caller")) {
        fault(stmt.line, "the special parameter 'caller' must be left out or be given a default");
      }
    }
    for (const auto& item : stmt.items) visit(inner, item.get());
    visit(inner, stmt.body);
    if (!has_caller && reads(stmt.body, "caller")) stmt.caller_slot = inner.declare("caller").slot;
    if (!has_kwargs && reads(stmt.body, "kwargs")) stmt.kwargs_slot = inner.declare("kwargs").slot;
    if (!has_varargs && reads(stmt.body, "varargs")) stmt.varargs_slot = inner.declare("varargs").slot;
    stmt.loads = loads(inner);
    exprs(stmt.params, inner, false);
    exprs(stmt.items, inner, false);
    body(stmt.body, inner, false);
  }

  void bind_block(Stmt& stmt, Symbols& symbols) {
    FunctionScope* root = symbols.function;
    while (root->parent) root = root->parent;
    FunctionScope function(stmt.function, root);
    Symbols inner(function, nullptr, 0);
    if (reads(stmt.body, "self")) stmt.self_slot = inner.declare("self").slot;
    visit(inner, stmt.body);
    const bool was_in_block = std::exchange(in_block_, true);
    stmt.loads = loads(inner);
    body(stmt.body, inner, false);
    in_block_ = was_in_block;
  }

  Template& template_;
  Symbols* root_ = nullptr;
  bool in_loop_ = false, in_block_ = false;
  int loop_reads_ = 0;
  std::map<std::string, Value> undefined_;
};

}  // namespace

void bind_names(Template& result) { Binder(result).run(); }

}  // namespace automodel::tokenizer::jinja
