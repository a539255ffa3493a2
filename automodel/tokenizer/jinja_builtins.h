// The filters and tests of jinja2 3.1.6, with tojson as transformers replaces it, and the globals (range, namespace,
// ...).
#pragma once

#include "automodel/tokenizer/jinja_runtime.h"

namespace automodel::tokenizer::jinja {

/// A filter or a test: `subject` is what stands before the '|' or 'is'. Throws Fault.
struct Builtin {
  const char* name;
  Value (*call)(Runtime& runtime, const Value& subject, Args& args);
};

/// Null for an unknown name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);

/// A global: `name` of the variables was not given. Missing for an unknown name.
struct GlobalFunction : Object {
  GlobalFunction(const char* n, Value (*c)(Runtime&, Args&)) : Object(Kind::kFunction), name(n), call(c) {}
  const char* name;
  Value (*call)(Runtime& runtime, Args& args);
};
Value find_global(std::string_view name);

/// The value under a path such as "address.city" or "0.name" (none: the item itself), or `absent` where it is
/// undefined.
class Attribute {
 public:
  explicit Attribute(const Value& path, Value absent = Value());
  Value operator()(Runtime& runtime, Value item) const;

 private:
  std::vector<Value> parts_;
  Value absent_;
};

// The tables' parts, a file each.
using BuiltinTable = std::vector<Builtin>;
void add_text_filters(BuiltinTable& table);
void add_sequence_filters(BuiltinTable& table);
void add_selection_filters(BuiltinTable& table);
void add_number_filters(BuiltinTable& table);
void add_tests(BuiltinTable& table);

/// json.dumps(value, ensure_ascii=..., ...): the filter tojson.
Value to_json(Runtime& runtime, const Value& subject, Args& args);

}  // namespace automodel::tokenizer::jinja
