#include "automodel/tokenizer/jinja_interpreter.h"
#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

static Value undefined_attribute(const Value& object, std::string_view name) {
  auto* undefined = new Undefined;
  undefined->name = name;
  undefined->owner = object_name(object);
  return Value(undefined);
}

static Value unsafe_attribute(const Value& object, std::string_view name) {
  auto* undefined = new Undefined;
  undefined->hint =
      fmt::format("access to attribute {} of {} object is unsafe", str_repr(name), str_repr(type_name(object)));
  undefined->unsafe = true;
  return Value(undefined);
}

static Value range_attribute(const Range& range, std::string_view name) {
  if (name == "start") return range.start;
  if (name == "stop") return range.stop;
  if (name == "step") return range.step;
  return {};
}

Value find_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  const bool dunder = name.size() > 4 && name.starts_with("__") && name.ends_with("__");
  if (object.is_undefined()) {
    if (dunder) return {};
    fail_undefined(object);
  }
  if (dunder) return unsafe_attribute(object, name);
  Value found;
  switch (object.kind()) {
    case Kind::kNamespace:
      if (const Value* value = object.as<Namespace>().attributes.as<Dict>().find(name)) found = *value;
      break;
    case Kind::kMacro:
      found = macro_attribute(object, name);
      break;
    case Kind::kLoop:
      found = loop_attribute(runtime, object, name);
      break;
    case Kind::kSelf:
      found = self_attribute(object, name);
      break;
    case Kind::kRange:
      found = range_attribute(object.as<Range>(), name);
      break;
    case Kind::kCycler:
      if (name == "current") return object.as<Cycler>().items[object.as<Cycler>().position];
      break;
    case Kind::kTuple:
      if (object.as<List>().group && name == "grouper") return object.as<List>().items()[0];
      if (object.as<List>().group && name == "list") return object.as<List>().items()[1];
      break;
    default:
      break;
  }
  if (!found.is_missing()) return name.starts_with("_") ? unsafe_attribute(object, name) : found;
  if (const Method* method = find_method(object.kind(), name)) {
    if (!method->call) return unsafe_attribute(object, name);
    return Value(new BoundMethod(object, method));
  }
  return {};
}

// object[key], or kMissing where Python raises TypeError or LookupError.
static Value find_item(Runtime& runtime, const Value& object, const Value& key) {
  switch (object.kind()) {
    case Kind::kUndefined:
      fail_undefined(object);
    case Kind::kDict: {
      if (key.is(Kind::kList) || key.is(Kind::kDict)) return {};
      const Value* found = object.as<Dict>().find(key);
      return found ? *found : Value();
    }
    case Kind::kStr:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange: {
      if (!key.is_int()) return {};
      const int64_t n = length(object);
      const int64_t index = key.as_int() < 0 ? key.as_int() + n : key.as_int();
      if (index < 0 || index >= n) return {};
      return object.is_str() ? slice(runtime, object, index, index + 1, nullptr) : element(object, index);
    }
    default:
      return {};
  }
}

Value get_item(Runtime& runtime, const Value& object, const Value& key) {
  Value found = find_item(runtime, object, key);
  if (!found.is_missing()) return found;
  if (key.is_str()) {
    found = find_attribute(runtime, object, key.text());
    return found.is_missing() ? undefined_attribute(object, key.text()) : found;
  }
  std::string name;
  append_repr(runtime, name, key);
  return make_undefined_hint(fmt::format("{} has no element {}", object_name(object), name));
}

Value get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  Value found = find_attribute(runtime, object, name);
  if (!found.is_missing()) return found;
  if (object.is(Kind::kDict)) {
    if (const Value* item = object.as<Dict>().find(name)) return *item;
  }
  if (object.is_undefined()) fail_undefined(object);
  return undefined_attribute(object, name);
}

struct Bounds {
  int64_t start, count, step;
};

// Python's slice.indices().
static Bounds slice_bounds(int64_t n, const Value& start, const Value& stop, const Value& step) {
  const auto number = [](const Value& v) {
    if (!v.is_int()) fail("slice indices must be integers or None");
    return v.as_int();
  };
  const int64_t by = step.is_none() ? 1 : number(step);
  if (by == 0) fail("slice step cannot be zero");
  const int64_t low = by < 0 ? -1 : 0, high = by < 0 ? n - 1 : n;
  const auto clamp = [&](const Value& v, int64_t absent) {
    if (v.is_none()) return absent;
    int64_t i = number(v);
    if (i < 0) i = i < -n ? low : std::max(i + n, low);
    return std::min(i, high);
  };
  const int64_t first = clamp(start, by < 0 ? high : low), last = clamp(stop, by < 0 ? low : high);
  int64_t count = 0;
  if (by > 0 && last > first) count = (last - first - 1) / by + 1;
  if (by < 0 && first > last) count = (first - last - 1) / (by == INT64_MIN ? INT64_MAX : -by) + 1;
  return {first, count, by};
}

static std::string slice_text(const Str& text, const Bounds& b) {
  std::string out;
  if (text.ascii()) {
    if (b.step == 1) return std::string(text.text.substr(b.start, b.count));
    for (int64_t i = 0; i < b.count; ++i) out += text.text[b.start + i * b.step];
    return out;
  }
  if (b.step == 1) {
    const size_t begin = byte_of(text.text, b.start);
    return std::string(text.text.substr(begin, byte_of(text.text.substr(begin), b.count)));
  }
  const auto codes = code_points(text.text);
  for (int64_t i = 0; i < b.count; ++i) append_utf8(out, codes[b.start + i * b.step]);
  return out;
}

Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop, const Value& step) {
  switch (object.kind()) {
    case Kind::kUndefined:
      fail_undefined(object);
    case Kind::kStr: {
      const auto& text = object.as<Str>();
      runtime.step(text.text.size() / 64);
      auto cut = slice_text(text, slice_bounds(text.length(), start, stop, step));
      runtime.charge(cut.size() + 32);
      return text.markup ? make_markup(std::move(cut)) : make_str(std::move(cut));
    }
    case Kind::kList:
    case Kind::kTuple: {
      const auto& items = object.as<List>().items();
      const Bounds b = slice_bounds(static_cast<int64_t>(items.size()), start, stop, step);
      std::vector<Value> out;
      out.reserve(b.count);
      runtime.step(b.count / 8);
      for (int64_t i = 0; i < b.count; ++i) out.push_back(items[b.start + i * b.step]);
      return runtime.list(std::move(out), object.kind());
    }
    case Kind::kRange: {
      const auto& range = object.as<Range>();
      const Bounds b = slice_bounds(range.size, start, stop, step);
      const int64_t first = range.start + b.start * range.step, by = range.step * b.step;
      return Value(new Range(first, first + b.count * by, by));
    }
    case Kind::kDict:
      fail("unhashable type: 'slice'");
    default:
      fail("'{}' object is not subscriptable", type_name(object));
  }
}

bool contains(Runtime& runtime, const Value& haystack, const Value& needle) {
  switch (haystack.kind()) {
    case Kind::kStr:
      if (!needle.is_str()) fail("'in <string>' requires string as left operand, not {}", type_name(needle));
      runtime.step(haystack.text().size() / 8);
      return haystack.text().find(needle.text()) != std::string_view::npos;
    case Kind::kDict:
      return haystack.as<Dict>().find(needle) != nullptr;
    case Kind::kList:
    case Kind::kTuple:
      for (const auto& item : haystack.as<List>().items()) {
        if (equal(item, needle)) return true;
      }
      return false;
    case Kind::kDictView:
      if (haystack.as<DictView>().what == DictView::What::kKeys) {
        return haystack.as<DictView>().dict.as<Dict>().find(needle) != nullptr;
      }
      [[fallthrough]];
    default: {
      if (!is_iterable(haystack)) fail("argument of type '{}' is not iterable", type_name(haystack));
      Iterator iterator(haystack);
      for (Value item; iterator.next(runtime, item);) {
        if (equal(item, needle)) return true;
      }
      return false;
    }
  }
}

bool same(const Value& left, const Value& right) {
  if (left.kind() != right.kind()) return false;
  if (!left.has_object()) return left.is_none() || left.as_int() == right.as_int();
  if (left.is_str()) return left.text() == right.text();  // Python: interned or not; equal is the useful answer
  return left.object() == right.object();
}

}  // namespace automodel::tokenizer::jinja
