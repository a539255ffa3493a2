#include "automodel/tokenizer/jinja_interpreter.h"

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

Interpreter::Interpreter(const Template& source, const Json& variables, const RenderOptions& options)
    : template_(source),
      variables_(variables),
      runtime_(options),
      resolved_(source.names.size()),
      is_resolved_(source.names.size()) {}

Interpreter::~Interpreter() = default;

Interpreter::Call::Call(Interpreter& interpreter, const Function& function, Activation* closure)
    : interpreter_(interpreter), caller_(interpreter.active_), reusable_(!function.has_closures) {
  Activation* activation;
  if (reusable_ && !interpreter.free_.empty()) {
    activation = interpreter.free_.back();
    interpreter.free_.pop_back();
  } else {
    interpreter.runtime_.charge(sizeof(Activation) + function.slots * sizeof(Value));
    activation = &interpreter.activations_.emplace_back();
  }
  activation->outer = closure;
  activation->slots.assign(function.slots, Value());
  interpreter.active_ = activation;
}

Interpreter::Call::~Call() {
  if (reusable_) {
    interpreter_.active_->slots.clear();
    interpreter_.free_.push_back(interpreter_.active_);
  }
  interpreter_.active_ = caller_;
}

Rendered Interpreter::run() {
  if (!variables_.is_object()) throw DataError(template_.name, "the variables of a template must be a JSON object");
  try {
    Call call(*this, template_.function, nullptr);
    out_ = &result_.text;
    enter(template_.loads);
    if (template_.self_slot >= 0) {
      active_->slots[template_.self_slot] = Value(new SelfReference(template_, nullptr));
    }
    execute(template_.body);
  } catch (const Fault& fault) {
    throw DataError(fmt::format("{}:{}", template_.name, line_), fault.what());
  }
  return std::move(result_);
}

Value Interpreter::resolve(int name) {
  if (!is_resolved_[name]) {
    const std::string& key = template_.names[name];
    const auto found = variables_.find(key);
    resolved_[name] = found != variables_.end() ? from_json(*found) : find_global(key);
    is_resolved_[name] = true;
  }
  return resolved_[name];
}

void Interpreter::enter(const Loads& loads) {
  for (const Load& load : loads) {
    Value value;
    if (load.from.slot >= 0) value = slot(load.from);
    if (load.how == Load::How::kResolve && value.is_missing()) value = resolve(load.name);
    active_->slots[load.slot] = std::move(value);
  }
}

void Interpreter::assign(const Expr& target, const Value& value) {
  if (target.kind == ExprKind::kName) {
    slot(target.ref) = value;
    return;
  }
  line_ = target.line;
  if (target.kind == ExprKind::kNamespaceRef) {
    const Value& space = slot(target.ref);
    if (!space.is(Kind::kNamespace)) fail("cannot assign attribute on non-namespace object");
    runtime_.charge(64);
    space.as<Namespace>().attributes.as<Dict>().set(make_str_view(target.attribute), value);
    return;
  }
  const auto items = to_vector(runtime_, value);
  if (items.size() != target.items.size()) {
    fail("cannot unpack {} values into {}", items.size(), target.items.size());
  }
  for (size_t i = 0; i < items.size(); ++i) assign(*target.items[i], items[i]);
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const auto& stmt : body) {
    if (const Flow flow = execute(*stmt); flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const Stmt& stmt) {
  runtime_.step();
  line_ = stmt.line;
  if (stmt.kind == StmtKind::kOutput) {
    output(stmt);
    return Flow::kNormal;
  }
  Nesting nesting(runtime_);
  switch (stmt.kind) {
    case StmtKind::kIf:
      return execute(truth(evaluate(*stmt.test)) ? stmt.body : stmt.otherwise);
    case StmtKind::kFor:
      return run_for(stmt);
    case StmtKind::kSet:
      assign(*stmt.target, evaluate(*stmt.expr));
      break;
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock:
      return run_capture(stmt);
    case StmtKind::kMacro:
      slot(stmt.ref) = Value(new Macro(stmt, active_));
      break;
    case StmtKind::kCallBlock: {
      const Value caller(new Macro(stmt, active_));
      append_str(runtime_, *out_, evaluate_call(*stmt.expr, &caller));
      break;
    }
    case StmtKind::kWith: {
      std::vector<Value> values;
      for (const auto& item : stmt.items) values.push_back(evaluate(*item));
      enter(stmt.loads);
      if (stmt.test && truth(evaluate(*stmt.test)))
        fail("{{% autoescape %}} that escapes is not supported in chat templates");
      for (size_t i = 0; i < values.size(); ++i) assign(*stmt.params[i], values[i]);
      return execute(stmt.body);
    }
    case StmtKind::kBlock:
      run_block(stmt);
      break;
    case StmtKind::kGeneration:
      run_generation(stmt);
      break;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
    default:
      throw Fault(stmt.name);
  }
  return Flow::kNormal;
}

void Interpreter::output(const Stmt& stmt) {
  for (const auto& item : stmt.items) {
    if (item->kind == ExprKind::kConst && item->value.is_str()) {
      out_->append(item->value.text());
    } else {
      append_str(runtime_, *out_, evaluate(*item));
    }
    if (out_->size() > runtime_.options.max_output_bytes)
      Runtime::too_much("bytes of output", runtime_.options.max_output_bytes);
  }
}

// {% set x %}...{% endset %} and {% filter f %}...{% endfilter %}. A break leaves without output.
Interpreter::Flow Interpreter::run_capture(const Stmt& stmt) {
  enter(stmt.loads);
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  const Flow flow = execute(stmt.body);
  out_ = outer;
  if (flow != Flow::kNormal) return flow;
  Value value = runtime_.str(std::move(text));
  if (stmt.expr) {
    filter_input_ = std::move(value);
    value = evaluate(*stmt.expr);
  }
  if (stmt.kind == StmtKind::kSetBlock)
    assign(*stmt.target, value);
  else
    append_str(runtime_, *out_, value);
  return Flow::kNormal;
}

void Interpreter::run_generation(const Stmt& stmt) {
  Call call(*this, stmt.function, active_);
  enter(stmt.loads);
  const bool known = out_ == &result_.text;
  if (!known && !in_generation_) result_.generation_misplaced = true;
  const bool outermost = known && !std::exchange(in_generation_, true);
  const size_t begin = out_->size();
  execute(stmt.body);
  if (!outermost) return;
  in_generation_ = false;
  result_.generation.emplace_back(begin, out_->size());
}

void Interpreter::run_block(const Stmt& stmt) {
  Activation* root = active_;
  while (root->outer) root = root->outer;
  Call call(*this, stmt.function, root);
  enter(stmt.loads);
  if (stmt.self_slot >= 0) active_->slots[stmt.self_slot] = Value(new SelfReference(template_, nullptr));
  execute(stmt.body);
}

Interpreter::Flow Interpreter::run_for(const Stmt& stmt) {
  const Value iterable = evaluate(*stmt.expr);
  line_ = stmt.line;
  if (!stmt.recursive) return run_loop(stmt, iterable, 0, active_);
  out_->append(run_recursive(stmt, iterable, 0, active_));
  return Flow::kNormal;
}

std::string Interpreter::run_recursive(const Stmt& stmt, const Value& iterable, int64_t depth0, Activation* closure) {
  Call call(*this, stmt.function, closure);
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  run_loop(stmt, iterable, depth0, closure);
  out_ = outer;
  runtime_.charge(text.size());
  return text;
}

Interpreter::Flow Interpreter::run_loop(const Stmt& stmt, const Value& iterable, int64_t depth0, Activation* closure) {
  const Value source = stmt.test ? filtered(stmt, iterable, closure) : iterable;
  const bool completed =
      stmt.uses_loop ? run_extended_loop(stmt, source, depth0, closure) : run_plain_loop(stmt, source);
  if (completed || stmt.otherwise.empty()) return Flow::kNormal;
  enter(stmt.else_loads);
  return execute(stmt.otherwise);
}

// Whether an iteration ran to its end: jinja2 takes the else branch when none did, also after a break or continue.
bool Interpreter::run_plain_loop(const Stmt& stmt, const Value& iterable) {
  bool completed = false;
  Iterator iterator(iterable);
  for (Value item; iterator.next(runtime_, item);) {
    assign(*stmt.target, item);
    enter(stmt.loads);
    const Flow flow = execute(stmt.body);
    if (flow == Flow::kBreak) break;
    completed |= flow == Flow::kNormal;
  }
  return completed;
}

bool Interpreter::run_extended_loop(const Stmt& stmt, const Value& iterable, int64_t depth0, Activation* closure) {
  bool completed = false;
  auto* loop = new Loop(iterable);
  const Value value(loop);
  loop->depth0 = depth0;
  if (stmt.recursive) {
    loop->recursive = &stmt;
    loop->closure = closure;
  }
  while (loop->advance(runtime_)) {
    active_->slots[stmt.loop_slot] = value;
    assign(*stmt.target, loop->current);
    enter(stmt.loads);
    const Flow flow = execute(stmt.body);
    if (flow == Flow::kBreak) break;
    completed |= flow == Flow::kNormal;
  }
  return completed;
}

// {% for x in iterable if test %}: lazy, in slots of its own, so that loop.last may look ahead.
Value Interpreter::filtered(const Stmt& stmt, const Value& iterable, Activation* where) {
  Activation* const here = std::exchange(active_, where);
  enter(stmt.test_loads);
  active_ = here;
  return Value(new Generator("generator", [this, &stmt, where, iterator = Iterator(iterable)](Value& out) mutable {
    while (iterator.next(runtime_, out)) {
      Activation* const caller = std::exchange(active_, where);
      assign(*stmt.test_target, out);
      const bool passes = truth(evaluate(*stmt.test));
      active_ = caller;
      if (passes) return true;
    }
    return false;
  }));
}

}  // namespace automodel::tokenizer::jinja
