// The methods of str, dict, list, tuple, int, float and range that a template can call, and str % args, str.format.
#pragma once

#include "automodel/tokenizer/jinja_runtime.h"

namespace automodel::tokenizer::jinja {

struct Method {
  const char* name;
  Value (*call)(Runtime& runtime, const Value& self,
                Args& args);  // null: it would change the object, so it is forbidden
};

struct BoundMethod : Object {
  BoundMethod(Value s, const Method* m) : Object(Kind::kMethod), self(std::move(s)), method(m) {}
  Value self;
  const Method* method;
};

/// Null if the kind has no such attribute.
const Method* find_method(Kind kind, std::string_view name);

using MethodTable = std::vector<Method>;
void add_str_methods(MethodTable& table);
void add_str_split_methods(MethodTable& table);

/// text.replace(old, fresh, most); most < 0: all.
std::string replace_text(Runtime& runtime, std::string_view text, std::string_view old, std::string_view fresh,
                         int64_t most);
/// text padded with `fill` to `width` characters; where: -1 text at the left, 1 at the right, 0 in the middle as
/// str.center rounds it, 2 as format() does.
std::string pad_text(Runtime& runtime, std::string_view text, int64_t width, int where, std::string_view fill);

/// Python's `format % args`: a tuple of values, a dict for %(name)s, or one value.
std::string percent_format(Runtime& runtime, std::string_view format, const Value& args);
/// str.format(*args, **kwargs).
std::string brace_format(Runtime& runtime, std::string_view format, const std::vector<Value>& args, const Value& named);
/// format(value, spec): ">10", "05.2f", ",".
std::string format_value(Runtime& runtime, const Value& value, std::string_view spec);

}  // namespace automodel::tokenizer::jinja
