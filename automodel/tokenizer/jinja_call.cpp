#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_interpreter.h"
#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

bool Loop::advance(Runtime& runtime) {
  Value next;
  if (std::exchange(peeked, false)) {
    if (ended) return false;
    next = std::move(after);
  } else if (ended || !iterator.next(runtime, next)) {
    return false;
  }
  ++index0;
  before = std::exchange(current, std::move(next));
  return true;
}

bool Loop::peek(Runtime& runtime) {
  if (!peeked) {
    ended = !iterator.next(runtime, after);
    peeked = true;
  }
  return !ended;
}

int64_t Loop::length(Runtime& runtime) {
  if (!size) size = try_length(iterator.source());
  if (!size) {  // a lazy sequence: read the rest of it now
    auto rest = to_vector(runtime, iterator.source());
    size = static_cast<int64_t>(rest.size()) + index0 + 1 + (peeked && !ended ? 1 : 0);
    iterator = Iterator(runtime.list(std::move(rest)));
  }
  return *size;
}

std::string describe_macro(const Value& macro) {
  const std::string& name = macro.as<Macro>().definition.name;
  return name.empty() ? "<Macro anonymous>" : fmt::format("<Macro {}>", str_repr(name));
}

std::string describe_loop(Runtime& runtime, const Value& loop) {
  auto& l = loop.as<Loop>();
  return fmt::format("<LoopContext {}/{}>", l.index0 + 1, l.length(runtime));
}

Value macro_attribute(const Value& macro, std::string_view name) {
  const Stmt& stmt = macro.as<Macro>().definition;
  if (name == "name") return stmt.name.empty() ? Value(nullptr) : make_str_view(stmt.name);
  if (name == "catch_kwargs") return stmt.kwargs_slot >= 0;
  if (name == "catch_varargs") return stmt.varargs_slot >= 0;
  if (name == "caller") return stmt.caller_slot >= 0;
  if (name == "arguments") {
    std::vector<Value> names;
    for (const auto& param : stmt.params) names.push_back(make_str_view(param->name));
    return make_tuple(std::move(names));
  }
  return {};
}

Value loop_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  auto& loop = value.as<Loop>();
  if (name == "index") return loop.index0 + 1;
  if (name == "index0") return loop.index0;
  if (name == "first") return loop.index0 == 0;
  if (name == "last") return !loop.peek(runtime);
  if (name == "length") return loop.length(runtime);
  if (name == "revindex") return loop.length(runtime) - loop.index0;
  if (name == "revindex0") return loop.length(runtime) - loop.index0 - 1;
  if (name == "depth") return loop.depth0 + 1;
  if (name == "depth0") return loop.depth0;
  if (name == "previtem") return loop.index0 == 0 ? make_undefined_hint("there is no previous item") : loop.before;
  if (name == "nextitem") return loop.peek(runtime) ? loop.after : make_undefined_hint("there is no next item");
  if (name == "cycle" || name == "changed") return Value(new LoopMethod(value, name == "cycle"));
  return {};
}

Value self_attribute(const Value& self, std::string_view name) {
  const auto& reference = self.as<SelfReference>();
  if (reference.block) return {};
  for (const Stmt* block : reference.source.blocks) {
    if (block->name == name) return Value(new SelfReference(reference.source, block));
  }
  return {};
}

static Value call_loop_method(const LoopMethod& method, Args& args) {
  auto& loop = method.loop.as<Loop>();
  auto& values = args.positional;
  if (!args.named.empty()) fail("loop.{}() takes no keyword arguments", method.cycle ? "cycle" : "changed");
  if (method.cycle) {
    if (values.empty()) fail("no items for cycling given");
    return values[loop.index0 % static_cast<int64_t>(values.size())];
  }
  Value now = make_tuple(std::move(values));
  if (!loop.last_changed.is_missing() && equal(loop.last_changed, now)) return false;
  loop.last_changed = std::move(now);
  return true;
}

Value Interpreter::evaluate_call(const Expr& expr, const Value* caller) {
  const Expr& callee = *expr.a;
  Value object;
  if (callee.kind == ExprKind::kGetattr && !caller) {  // x.strip(): without making a bound method
    object = evaluate(*callee.a);
    constexpr Kind kKinds[] = {Kind::kStr, Kind::kDict, Kind::kList, Kind::kTuple};
    for (int i = 0; i < 4; ++i) {
      const Method* method = callee.methods[i];
      if (!object.is(kKinds[i]) || !method || !method->call) continue;
      Args args = arguments(expr);
      line_ = expr.line;
      return method->call(runtime_, object, args);
    }
    line_ = callee.line;
    object = get_attribute(runtime_, object, callee.name);
  } else {
    object = evaluate(callee);
  }
  if (object.is_undefined()) {
    line_ = expr.line;
    fail_undefined(object);
  }
  Args args = arguments(expr);
  if (caller) args.named.emplace_back("caller", *caller);
  line_ = expr.line;
  return call(object, args);
}

Value Interpreter::call(const Value& callee, Args& args) {
  switch (callee.kind()) {
    case Kind::kFunction:
      return callee.as<GlobalFunction>().call(runtime_, args);
    case Kind::kMacro:
      return call_macro(callee.as<Macro>(), args);
    case Kind::kLoop:
      return call_loop(callee.as<Loop>(), args);
    case Kind::kMethod:
      if (const auto* method = dynamic_cast<const LoopMethod*>(callee.object())) return call_loop_method(*method, args);
      return callee.as<BoundMethod>().method->call(runtime_, callee.as<BoundMethod>().self, args);
    case Kind::kSelf: {
      const Stmt* block = callee.as<SelfReference>().block;
      if (!block) fail("'TemplateReference' object is not callable");
      bind_none("block", args);
      Nesting nesting(runtime_);
      std::string text;
      std::string* const outer = std::exchange(out_, &text);
      run_block(*block);
      out_ = outer;
      return runtime_.str(std::move(text));
    }
    case Kind::kJoiner:
      bind_none("joiner", args);
      return std::exchange(callee.as<Joiner>().used, true) ? callee.as<Joiner>().separator : make_str("");
    default:
      fail("'{}' object is not callable", type_name(callee));
  }
}

Value Interpreter::call_loop(Loop& loop, Args& args) {
  auto [iterable] = bind("loop", args, {"iterable"}, 1);
  if (!loop.recursive) fail("the loop must have the 'recursive' marker to be called recursively");
  Nesting nesting(runtime_);
  return make_str(run_recursive(*loop.recursive, iterable, loop.depth0 + 1, loop.closure));
}

Value Interpreter::call_macro(const Macro& macro, Args& args) {
  const Stmt& stmt = macro.definition;
  Nesting nesting(runtime_);
  Call call(*this, stmt.function, macro.closure);
  const size_t count = stmt.params.size(), given = std::min(count, args.positional.size());
  auto& slots = active_->slots;
  const auto take = [&](std::string_view name) {
    for (size_t i = 0; i < args.named.size(); ++i) {
      if (args.named[i].first != name) continue;
      Value value = std::move(args.named[i].second);
      args.named.erase(args.named.begin() + static_cast<ptrdiff_t>(i));
      return value;
    }
    return Value();
  };
  for (size_t i = 0; i < count; ++i) {
    const Expr& param = *stmt.params[i];
    slots[param.ref.slot] = i < given ? std::move(args.positional[i]) : take(param.name);
  }
  if (stmt.caller_slot >= 0) {
    Value caller = take("caller");
    slots[stmt.caller_slot] =
        caller.is_missing() || caller.is_none() ? make_undefined_hint("No caller defined", "caller") : caller;
  }
  if (stmt.kwargs_slot >= 0) {
    auto* rest = new Dict;
    slots[stmt.kwargs_slot] = Value(rest);
    for (auto& [name, value] : args.named) rest->set(make_str(std::string(name)), std::move(value));
  } else if (!args.named.empty()) {
    fail("macro {} takes no keyword argument {}", str_repr(stmt.name), str_repr(args.named[0].first));
  }
  if (stmt.varargs_slot >= 0) {
    std::vector<Value> rest(std::make_move_iterator(args.positional.begin() + static_cast<ptrdiff_t>(given)),
                            std::make_move_iterator(args.positional.end()));
    slots[stmt.varargs_slot] = make_tuple(std::move(rest));
  } else if (args.positional.size() > count) {
    fail("macro {} takes not more than {} argument(s)", str_repr(stmt.name), count);
  }
  enter(stmt.loads);
  const size_t without_default = count - stmt.items.size();
  for (size_t i = 0; i < count; ++i) {
    const Expr& param = *stmt.params[i];
    if (!active_->slots[param.ref.slot].is_missing()) continue;
    active_->slots[param.ref.slot] =
        i < without_default ? make_undefined_hint(fmt::format("parameter {} was not provided", str_repr(param.name)))
                            : evaluate(*stmt.items[i - without_default]);
  }
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  execute(stmt.body);
  out_ = outer;
  return runtime_.str(std::move(text));
}

}  // namespace automodel::tokenizer::jinja
