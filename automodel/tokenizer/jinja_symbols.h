// Symbols: what one scope knows about names, while jinja_scope.cpp binds them.
#pragma once

#include <map>
#include <set>

#include "automodel/tokenizer/jinja_ast.h"

namespace automodel::tokenizer::jinja {

/// A function under compilation and its slots; one slot a (scope level, name), shared by scopes that follow one
/// another.
struct FunctionScope {
  FunctionScope(Function& f, FunctionScope* p) : function(f), parent(p) {}
  Function& function;
  FunctionScope* parent;
  std::map<std::pair<int, std::string>, int> slots;
};

struct Symbols {
  struct Slot {
    FunctionScope* function = nullptr;
    int slot = -1;
    auto operator<=>(const Slot&) const = default;
  };
  struct Origin {
    enum class How : uint8_t { kParameter, kResolve, kAlias, kNothing };
    How how;
    Slot from;         // kAlias
    std::string name;  // kResolve
  };

  Symbols(FunctionScope& f, Symbols* p, int l, std::string t = "")
      : function(&f), parent(p), level(l), tag(std::move(t)) {}

  FunctionScope* function;
  Symbols* parent;
  int level;
  std::string tag;  // keeps a loop filter's slots apart from its loop's
  std::map<std::string, Slot, std::less<>> refs;
  std::map<Slot, Origin> origins;
  std::set<std::string> stores;

  const Slot* find(const std::string& name) const;
  void load(const std::string& name);
  void store(const std::string& name);
  Slot declare(const std::string& name);  // as a parameter
  void merge(const std::vector<Symbols>& branches);

 private:
  Slot define(const std::string& name, Origin origin);
};

/// A scope reads `name` from outside: it loads it before anything in it stores it. Blocks are not looked into.
bool reads(const Body& body, std::string_view name);

// What the rules above make of a tree: the statements of the scope itself, not of scopes inside.
void visit(Symbols& symbols, const Expr* expr);
void visit(Symbols& symbols, const Body& body);
void declare_target(Symbols& symbols, const Expr& target);

}  // namespace automodel::tokenizer::jinja
