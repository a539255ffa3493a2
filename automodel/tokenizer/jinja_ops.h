// Python's operations on values: str(), repr(), truth, len(), iteration, arithmetic, comparison, subscripts,
// attributes. Each throws Fault with what Python would complain about.
#pragma once

#include "automodel/tokenizer/jinja_runtime.h"

namespace automodel::tokenizer::jinja {

bool truth(const Value& value);

/// str(value) and repr(value), appended.
void append_str(Runtime& runtime, std::string& out, const Value& value);
void append_repr(Runtime& runtime, std::string& out, const Value& value);
std::string to_str(Runtime& runtime, const Value& value);
/// str(value) as a Value; a string stays what it is.
Value as_str(Runtime& runtime, const Value& value);

/// len(value); nothing for what has no length.
std::optional<int64_t> try_length(const Value& value);
int64_t length(const Value& value);

/// iter(value). Reading past the end keeps returning false.
class Iterator {
 public:
  explicit Iterator(Value source);  // throws Fault for what cannot be iterated
  bool next(Runtime& runtime, Value& out);
  const Value& source() const { return source_; }

 private:
  Value source_;
  size_t position_ = 0;
};
bool is_iterable(const Value& value);
std::vector<Value> to_vector(Runtime& runtime, const Value& value);
/// reversed(value) as a vector; throws Fault where Python does.
std::vector<Value> reversed(Runtime& runtime, const Value& value);

Value add(Runtime& runtime, Value left, const Value& right);  // may append to `left` in place if nobody else holds it
Value subtract(const Value& left, const Value& right);
Value multiply(Runtime& runtime, const Value& left, const Value& right);
Value divide(const Value& left, const Value& right);
Value floor_divide(const Value& left, const Value& right);
Value modulo(Runtime& runtime, const Value& left, const Value& right);
Value power(const Value& left, const Value& right);
Value negate(const Value& value);
Value plus(const Value& value);

/// left < right; `symbol` is for the error ("<", ">").
bool less(const Value& left, const Value& right, const char* symbol = "<");
bool less_equal(const Value& left, const Value& right, const char* symbol = "<=");
/// needle in haystack.
bool contains(Runtime& runtime, const Value& haystack, const Value& needle);
/// left is right.
bool same(const Value& left, const Value& right);

/// environment.getitem: object[key], else the attribute, else undefined.
Value get_item(Runtime& runtime, const Value& object, const Value& key);
/// environment.getattr: the attribute, else object[name], else undefined.
Value get_attribute(Runtime& runtime, const Value& object, std::string_view name);
/// The attribute alone: kMissing if there is none; an unsafe undefined where the sandbox forbids it.
Value find_attribute(Runtime& runtime, const Value& object, std::string_view name);
/// object[start:stop:step]; absent ones are none.
Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop, const Value& step);
/// The range's or sequence's element; `index` is in bounds.
Value element(const Value& sequence, int64_t index);

/// "dict object", "None": how messages call a value.
std::string object_name(const Value& value);
[[noreturn]] void fail_undefined(const Value& undefined);
int64_t index_argument(const Value& value, const char* what);
/// Text with & < > " ' replaced, as markupsafe does.
std::string escape_html(std::string_view text);

}  // namespace automodel::tokenizer::jinja
