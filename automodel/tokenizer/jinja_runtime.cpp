#include "automodel/tokenizer/jinja_runtime.h"

#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

// equal() and hash() are called from containers that know no runtime, and can be made to run very long.
static thread_local Runtime* current = nullptr;

Runtime::Runtime(const RenderOptions& o) : options(o), outer_(current) { current = this; }

Runtime::~Runtime() {
  for (const Value& value : cyclic) value.as<Namespace>().attributes = Value();
  current = outer_;
}

void spend(uint64_t steps) {
  if (current) current->step(steps);
}

void Runtime::too_much(const char* what, uint64_t limit) {
  fail("the template needs more {} than the limit of {}", what, limit);
}

void bind_into(std::string_view callee, Args& args, const char* const* names, size_t count, size_t required,
               Value* out) {
  if (args.positional.size() > count) {
    fail("{}() takes at most {} arguments ({} given)", callee, count, args.positional.size());
  }
  for (size_t i = 0; i < args.positional.size(); ++i) out[i] = std::move(args.positional[i]);
  for (auto& [name, value] : args.named) {
    size_t i = 0;
    while (i < count && name != names[i]) ++i;
    if (i == count) fail("{}() got an unexpected keyword argument {}", callee, str_repr(name));
    if (!out[i].is_missing()) fail("{}() got multiple values for argument {}", callee, str_repr(name));
    out[i] = std::move(value);
  }
  for (size_t i = 0; i < required; ++i) {
    if (out[i].is_missing()) fail("{}() missing the required argument '{}'", callee, names[i]);
  }
}

void bind_none(std::string_view callee, Args& args) {
  if (!args.positional.empty() || !args.named.empty()) fail("{}() takes no arguments", callee);
}

}  // namespace automodel::tokenizer::jinja
