#include "automodel/tokenizer/jinja_ops.h"

#include <cmath>

#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_interpreter.h"
#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kNone:
    case Kind::kUndefined:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_float() != 0;
    case Kind::kStr:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.as<List>().items().empty();
    case Kind::kDict:
      return !value.as<Dict>().entries().empty();
    case Kind::kDictView:
      return truth(value.as<DictView>().dict);
    case Kind::kRange:
      return value.as<Range>().size != 0;
    default:
      return true;
  }
}

void fail_undefined(const Value& undefined) { throw Fault(undefined.as<Undefined>().message()); }

std::string object_name(const Value& value) {
  if (value.is_none()) return "None";
  if (value.is(Kind::kNamespace)) return "jinja2.utils.Namespace object";
  return type_name(value) + " object";
}

static void append_items(Runtime& runtime, std::string& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) out += ", ";
    append_repr(runtime, out, items[i]);
  }
}

static void append_view(Runtime& runtime, std::string& out, const DictView& view) {
  const char* separator = "";
  out += '[';
  for (const auto& [key, item] : view.dict.as<Dict>().entries()) {
    out += std::exchange(separator, ", ");
    if (view.what == DictView::What::kKeys)
      append_repr(runtime, out, key);
    else if (view.what == DictView::What::kValues)
      append_repr(runtime, out, item);
    else
      append_repr(runtime, out, make_tuple({key, item}));
  }
  out += ']';
}

void append_repr(Runtime& runtime, std::string& out, const Value& value) {
  if (value.is_str()) {
    const auto& text = value.as<Str>();
    runtime.charge(text.text.size());
    out += text.markup ? "Markup(" + str_repr(text.text) + ")" : str_repr(text.text);
    return;
  }
  if (value.is_undefined()) {
    out += "Undefined";
    return;
  }
  append_str(runtime, out, value);
}

// "{'key': value, ...}"
static void append_dict(Runtime& runtime, std::string& out, Dict& dict) {
  const char* separator = "";
  out += '{';
  for (const auto& [key, item] : dict.entries()) {
    out += std::exchange(separator, ", ");
    append_repr(runtime, out, key);
    out += ": ";
    append_repr(runtime, out, item);
  }
  out += '}';
}

static std::string range_str(const Range& range) {
  const std::string ends = fmt::format("range({}, {}", range.start, range.stop);
  return ends + (range.step == 1 ? ")" : fmt::format(", {})", range.step));
}

void append_str(Runtime& runtime, std::string& out, const Value& value) {
  Nesting nesting(runtime);
  runtime.step();
  if (out.size() > runtime.options.max_output_bytes)
    Runtime::too_much("bytes in one value", runtime.options.max_output_bytes);
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      break;
    case Kind::kNone:
      out += "None";
      break;
    case Kind::kBool:
      out += value.as_bool() ? "True" : "False";
      break;
    case Kind::kInt:
      out += fmt::format("{}", value.as_int());
      break;
    case Kind::kFloat:
      out += float_repr(value.as_float());
      break;
    case Kind::kStr:
      out += value.text();
      break;
    case Kind::kList:
      out += '[';
      append_items(runtime, out, value.as<List>().items());
      out += ']';
      break;
    case Kind::kTuple: {
      const auto& items = value.as<List>().items();
      out += '(';
      append_items(runtime, out, items);
      out += items.size() == 1 ? ",)" : ")";
      break;
    }
    case Kind::kDict:
      append_dict(runtime, out, value.as<Dict>());
      break;
    case Kind::kDictView:
      out += type_name(value) + "(";
      append_view(runtime, out, value.as<DictView>());
      out += ')';
      break;
    case Kind::kRange:
      out += range_str(value.as<Range>());
      break;
    case Kind::kNamespace:
      out += "<Namespace ";
      append_str(runtime, out, value.as<Namespace>().attributes);
      out += '>';
      break;
    case Kind::kMacro:
      out += describe_macro(value);
      break;
    case Kind::kLoop:
      out += describe_loop(runtime, value);
      break;
    default:
      out += fmt::format("<{} object>", type_name(value));
  }
}

std::string to_str(Runtime& runtime, const Value& value) {
  if (value.is_str()) return std::string(value.text());
  std::string out;
  append_str(runtime, out, value);
  return out;
}

Value as_str(Runtime& runtime, const Value& value) {
  return value.is_str() ? value : runtime.str(to_str(runtime, value));
}

std::optional<int64_t> try_length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kStr:
      return value.as<Str>().length();
    case Kind::kList:
    case Kind::kTuple:
      return value.as<List>().items().size();
    case Kind::kDict:
      return value.as<Dict>().entries().size();
    case Kind::kDictView:
      return value.as<DictView>().dict.as<Dict>().entries().size();
    case Kind::kRange:
      return value.as<Range>().size;
    default:
      return {};
  }
}

int64_t length(const Value& value) {
  if (const auto n = try_length(value)) return *n;
  fail("object of type '{}' has no len()", type_name(value));
}

bool is_iterable(const Value& value) {
  return try_length(value).has_value() || value.is(Kind::kGenerator) || value.is(Kind::kLoop);
}

Iterator::Iterator(Value source) : source_(std::move(source)) {
  if (!is_iterable(source_)) fail("'{}' object is not iterable", type_name(source_));
}

bool Iterator::next(Runtime& runtime, Value& out) {
  runtime.step();
  switch (source_.kind()) {
    case Kind::kStr: {
      const auto text = source_.text();
      if (position_ >= text.size()) return false;
      const size_t start = position_;
      decode(text, position_);
      out = runtime.str(std::string(text.substr(start, position_ - start)));
      return true;
    }
    case Kind::kList:
    case Kind::kTuple: {
      const auto& items = source_.as<List>().items();
      if (position_ >= items.size()) return false;
      out = items[position_++];
      return true;
    }
    case Kind::kDict:
    case Kind::kDictView: {
      const bool view = source_.is(Kind::kDictView);
      const auto what = view ? source_.as<DictView>().what : DictView::What::kKeys;
      const auto& entries = (view ? source_.as<DictView>().dict : source_).as<Dict>().entries();
      if (position_ >= entries.size()) return false;
      const auto& [key, value] = entries[position_++];
      if (what == DictView::What::kItems)
        out = runtime.list({key, value}, Kind::kTuple);
      else
        out = what == DictView::What::kKeys ? key : value;
      return true;
    }
    case Kind::kRange:
      if (static_cast<int64_t>(position_) >= source_.as<Range>().size) return false;
      out = element(source_, static_cast<int64_t>(position_++));
      return true;
    case Kind::kGenerator: {
      Nesting nesting(runtime);
      return source_.as<Generator>().next(out);
    }
    case Kind::kLoop:
      fail("iterating over 'loop' is not supported");
    default:
      return false;  // undefined
  }
}

std::vector<Value> to_vector(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) {
    const auto& items = value.as<List>().items();
    runtime.charge(items.size() * sizeof(Value));
    runtime.step(items.size() / 8);
    return items;
  }
  std::vector<Value> out;
  Iterator iterator(value);
  for (Value item; iterator.next(runtime, item);) out.push_back(std::move(item));
  runtime.charge(out.size() * sizeof(Value));
  return out;
}

std::vector<Value> reversed(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kGenerator) || !is_iterable(value)) fail("'{}' object is not reversible", type_name(value));
  auto items = to_vector(runtime, value);
  std::reverse(items.begin(), items.end());
  return items;
}

Value element(const Value& sequence, int64_t index) {
  if (sequence.is(Kind::kRange)) {
    const auto& range = sequence.as<Range>();
    return range.start + index * range.step;
  }
  return sequence.as<List>().items()[index];
}

int64_t index_argument(const Value& value, const char* what) {
  if (value.is_undefined() && *what == '\0') fail_undefined(value);
  if (!value.is_int()) fail("{}'{}' object cannot be interpreted as an integer", what, type_name(value));
  return value.as_int();
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace automodel::tokenizer::jinja
