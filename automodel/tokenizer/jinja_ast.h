// The syntax tree of a template, with every name already bound to a slot (jinja_scope.cpp), so that a render looks
// nothing up.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "automodel/tokenizer/jinja_runtime.h"

namespace automodel::tokenizer::jinja {

struct Builtin;  // a filter or a test: jinja_builtins.h
struct Method;   // a method of str, dict, ...: jinja_methods.h

/// Where a name's value lies: `hops` functions (macro, call block, recursive loop, block) outwards, there slot `slot`.
struct Ref {
  int hops = 0;
  int slot = -1;
};

/// What a scope does with a slot when it is entered.
struct Load {
  enum class How : uint8_t { kClear, kAlias, kResolve };
  How how;
  int slot;
  Ref from;      // kAlias
  int name = 0;  // kResolve: index into Template::names
};
using Loads = std::vector<Load>;

enum class ExprKind : uint8_t {
  kConst,
  kName,
  kNamespaceRef,
  kList,
  kTuple,
  kDict,
  kCond,
  kOr,
  kAnd,
  kNot,
  kCompare,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kConcat,
  kNeg,
  kPos,
  kGetattr,
  kGetitem,
  kSlice,
  kCall,
  kFilter,
  kTest,
};
enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  Expr(ExprKind k, int l) : kind(k), line(l) {}
  ExprKind kind;
  bool stores = false;  // a name or tuple that is assigned to
  uint16_t depth = 1;   // of the tree below
  int line;
  Value value;            // kConst
  std::string name;       // kName, kNamespaceRef, kGetattr, kFilter, kTest
  std::string attribute;  // kNamespaceRef
  ExprPtr a, b,
      c;  // operands; kCond: test, then, else; kSlice: start, stop, step; kCall, kFilter, kTest: a is the subject
  std::vector<ExprPtr> items;  // elements, arguments, operands of kConcat and kCompare; kDict: keys and values in turn
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, star_star;
  std::vector<CompareOp> ops;
  Ref ref;
  const Builtin* builtin = nullptr;  // kFilter, kTest; null: unknown, an error when it runs
  const Method* methods[4] = {};     // kGetattr: the attribute as a method of str, dict, list, tuple
  Value undefined;                   // kName: what an unbound name is
};

enum class StmtKind : uint8_t {
  kOutput,
  kFor,
  kIf,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kBlock,
  kGeneration,
  kBreak,
  kContinue,
  kRefused,
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

/// What runs in an activation of its own, as a Python function does: its slots live as long as the call.
struct Function {
  int slots = 0;
  bool has_closures = false;  // a macro is defined inside: the activation outlives the call
};

struct Stmt {
  Stmt(StmtKind k, int l) : kind(k), line(l) {}
  StmtKind kind;
  int line;
  std::string name;            // kMacro, kBlock; kRefused: what the error says
  ExprPtr target, expr, test;  // kFor: target, iterable, filter; kIf: test; kWith: test of an autoescape; kSet: target,
                               // value; kCallBlock: the call
  std::vector<ExprPtr> items;  // kOutput: what is printed; kWith: values; kMacro, kCallBlock: defaults
  std::vector<ExprPtr> params;  // kWith: targets; kMacro, kCallBlock: parameter names
  Body body, otherwise;         // kIf: an elif is an `otherwise` of one kIf
  Loads loads, else_loads, test_loads;
  Ref ref;  // kMacro: where it is stored; kCallBlock: caller's slot
  bool recursive = false, uses_loop = false;
  int loop_slot = -1;   // kFor
  int self_slot = -1;   // kBlock
  ExprPtr test_target;  // kFor with a filter: the target again, in the filter's own scope
  Function function;    // kMacro, kCallBlock, kGeneration, kBlock, recursive kFor
  int caller_slot = -1, kwargs_slot = -1,
      varargs_slot = -1;  // kMacro, kCallBlock: special parameters that the body reads
};

struct Template {
  std::vector<std::unique_ptr<Object>> constants;  // outlive the tree that refers to them
  std::string name;
  Body body;
  Loads loads;
  Function function;
  std::vector<std::string> names;  // looked up in the variables and the globals
  std::vector<const Stmt*> blocks;
  int self_slot = -1;
  bool marks_generation = false;
};

}  // namespace automodel::tokenizer::jinja
