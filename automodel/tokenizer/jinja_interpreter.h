// Interpreter: runs a bound template over variables.
#pragma once

#include <deque>

#include "automodel/tokenizer/jinja_ast.h"
#include "automodel/tokenizer/jinja_ops.h"

namespace automodel::tokenizer::jinja {

/// A running function's slots. Kept until the render ends when closures were made inside.
struct Activation {
  Activation* outer = nullptr;
  std::vector<Value> slots;
};

struct Macro : Object {
  Macro(const Stmt& d, Activation* c) : Object(Kind::kMacro), definition(d), closure(c) {}
  const Stmt& definition;
  Activation* closure;
};

struct Loop : Object {
  explicit Loop(Value iterable) : Object(Kind::kLoop), iterator(std::move(iterable)) {}
  Iterator iterator;
  int64_t index0 = -1, depth0 = 0;
  std::optional<int64_t> size;
  bool peeked = false, ended = false;  // `after` holds what the iterator gave ahead of time, unless it ended
  Value before, current, after, last_changed;
  const Stmt* recursive = nullptr;
  Activation* closure = nullptr;  // where the recursive loop's function is defined

  bool advance(Runtime& runtime);
  bool peek(Runtime& runtime);
  int64_t length(Runtime& runtime);
};

/// `self` (no block), or one of its blocks, which renders when it is called.
struct SelfReference : Object {
  SelfReference(const Template& t, const Stmt* b) : Object(Kind::kSelf), source(t), block(b) {}
  const Template& source;
  const Stmt* block;
};
Value self_attribute(const Value& self, std::string_view name);

/// A method of a loop: cycle or changed.
struct LoopMethod : Object {
  LoopMethod(Value l, bool c) : Object(Kind::kMethod), loop(std::move(l)), cycle(c) {}
  Value loop;
  bool cycle;
};

std::string describe_macro(const Value& macro);
std::string describe_loop(Runtime& runtime, const Value& loop);
Value macro_attribute(const Value& macro, std::string_view name);
Value loop_attribute(Runtime& runtime, const Value& loop, std::string_view name);

class Interpreter {
 public:
  Interpreter(const Template& source, const Json& variables, const RenderOptions& options);
  ~Interpreter();

  /// Throws DataError{"name:line"}.
  Rendered run();

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };

  // Statements (jinja_interpreter.cpp).
  Flow execute(const Body& body);
  Flow execute(const Stmt& stmt);
  void output(const Stmt& stmt);
  Flow run_for(const Stmt& stmt);
  Flow run_loop(const Stmt& stmt, const Value& iterable, int64_t depth0, Activation* closure);
  bool run_extended_loop(const Stmt& stmt, const Value& iterable, int64_t depth0, Activation* closure);
  bool run_plain_loop(const Stmt& stmt, const Value& iterable);
  std::string run_recursive(const Stmt& stmt, const Value& iterable, int64_t depth0, Activation* closure);
  Value filtered(const Stmt& stmt, const Value& iterable, Activation* where);
  Flow run_capture(const Stmt& stmt);
  void run_generation(const Stmt& stmt);
  void run_block(const Stmt& stmt);
  void assign(const Expr& target, const Value& value);
  void enter(const Loads& loads);
  Value resolve(int name);

  // Expressions (jinja_evaluate.cpp).
  Value evaluate(const Expr& expr);
  Value evaluate_name(const Expr& expr);
  Value evaluate_compare(const Expr& expr);
  Value evaluate_binary(const Expr& expr);
  Value evaluate_concat(const Expr& expr);
  Value evaluate_dict(const Expr& expr);
  Value evaluate_getattr(const Expr& expr);
  Value evaluate_getitem(const Expr& expr);
  Value evaluate_builtin(const Expr& expr);
  Args arguments(const Expr& expr);

  // Calls (jinja_call.cpp).
  Value evaluate_call(const Expr& expr, const Value* caller = nullptr);
  Value call(const Value& callee, Args& args);
  Value call_macro(const Macro& macro, Args& args);
  Value call_loop(Loop& loop, Args& args);

  Value& slot(const Ref& ref) {
    Activation* activation = active_;
    for (int i = 0; i < ref.hops; ++i) activation = activation->outer;
    return activation->slots[ref.slot];
  }

  // Runs a function's slots for the length of a scope.
  class Call {
   public:
    Call(Interpreter& interpreter, const Function& function, Activation* closure);
    ~Call();

   private:
    Interpreter& interpreter_;
    Activation* caller_;
    bool reusable_;
  };

  const Template& template_;
  const Json& variables_;
  Runtime runtime_;
  std::vector<Value> resolved_;  // by name; what resolve() found
  std::vector<bool> is_resolved_;
  std::deque<Activation> activations_;
  std::vector<Activation*> free_;
  Activation* active_ = nullptr;
  std::string* out_ = nullptr;
  Rendered result_;
  Value filter_input_;  // what a {% filter %} or {% set | filter %} block gives to its first filter
  bool in_generation_ = false;
  int line_ = 1;
};

}  // namespace automodel::tokenizer::jinja
