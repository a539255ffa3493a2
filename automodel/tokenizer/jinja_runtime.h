// Runtime: the bounds of one render (steps, bytes, depth), the faults a template can raise, and the arguments of a
// call.
#pragma once

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <optional>
#include <stdexcept>

#include "automodel/tokenizer/chat_template.h"
#include "automodel/tokenizer/jinja_value.h"

namespace automodel::tokenizer::jinja {

/// A template's fault; the interpreter adds the file and line and makes it a DataError.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... T>
[[noreturn]] void fail(fmt::format_string<T...> format, T&&... args) {
  throw Fault(fmt::format(format, std::forward<T>(args)...));
}

struct Runtime {
  explicit Runtime(const RenderOptions& o);
  Runtime(const Runtime&) = delete;
  ~Runtime();

  const RenderOptions& options;
  uint64_t steps = 0, bytes = 0;
  int depth = 0;
  std::vector<Value> cyclic;  // namespaces, emptied at the end

  void step(uint64_t n = 1) {
    if ((steps += n) > options.max_steps) too_much("steps", options.max_steps);
  }
  /// To be called before a text of `n` bytes (or a list of n/16 items) is made.
  void charge(uint64_t n) {
    if (n > options.max_output_bytes) too_much("bytes in one value", options.max_output_bytes);
    if ((bytes += n) > options.max_total_bytes) too_much("bytes in all", options.max_total_bytes);
  }
  [[noreturn]] static void too_much(const char* what, uint64_t limit);

  Value str(std::string&& text) {
    charge(text.size() + 96);
    return make_str(std::move(text));
  }
  Value list(std::vector<Value>&& items, Kind kind = Kind::kList) {
    charge(items.size() * sizeof(Value) + 128);
    return make_list(std::move(items), kind);
  }

 private:
  Runtime* outer_;
};

/// Bounds the nesting of evaluations, of printed containers and of lazy sequences.
class Nesting {
 public:
  explicit Nesting(Runtime& runtime) : runtime_(runtime) {
    if (++runtime_.depth > runtime_.options.max_depth) {
      --runtime_.depth;
      Runtime::too_much("levels of nesting", runtime_.options.max_depth);
    }
  }
  ~Nesting() { --runtime_.depth; }
  Nesting(const Nesting&) = delete;

 private:
  Runtime& runtime_;
};

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
  Value named_source;  // owns the names that came from **dict
};

void bind_into(std::string_view callee, Args& args, const char* const* names, size_t count, size_t required,
               Value* out);

/// The arguments in the order of `names`, absent ones kMissing. Throws Fault for too many, too few or unknown ones.
template <size_t N>
std::array<Value, N> bind(std::string_view callee, Args& args, const char* const (&names)[N], size_t required = 0) {
  std::array<Value, N> out;
  bind_into(callee, args, names, N, required, out.data());
  return out;
}
void bind_none(std::string_view callee, Args& args);

}  // namespace automodel::tokenizer::jinja
