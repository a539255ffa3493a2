#include "automodel/tokenizer/jinja_value.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "automodel/tokenizer/jinja_runtime.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

void destroy(Object* object) {
  if (object->kind == Kind::kStr) {
    delete object;
    return;
  }
  thread_local std::vector<Object*> dead;
  thread_local bool busy = false;
  if (busy) {
    dead.push_back(object);
    return;
  }
  busy = true;
  delete object;
  while (!dead.empty()) {
    Object* next = dead.back();
    dead.pop_back();
    delete next;
  }
  busy = false;
}

std::string Undefined::message() const {
  if (!hint.empty()) return hint;
  if (owner.empty()) return fmt::format("{} is undefined", str_repr(name));
  return fmt::format("'{}' has no attribute {}", owner, str_repr(name));
}

int64_t Str::length() const {
  if (characters < 0) characters = count_characters(text);
  return characters;
}

void List::convert() {
  const Json& json = *std::exchange(source, nullptr);
  items_.reserve(json.size());
  for (const auto& item : json) items_.push_back(from_json(item));
}

void Dict::convert() {
  const Json& json = *std::exchange(source, nullptr);
  entries_.reserve(json.size());
  for (const auto& [key, value] : json.items()) set(make_str_view(key), from_json(value));
}

static constexpr size_t kLinear = 8;

const Value* Dict::find(std::string_view key) {
  if (source) convert();
  if (entries_.size() > kLinear) {
    Str probe(key);
    probe.refs = kImmortal;
    return find(Value(&probe));
  }
  for (const auto& entry : entries_) {
    if (entry.first.is_str() && entry.first.text() == key) return &entry.second;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) {
  if (source) convert();
  const uint64_t hashed = hash(key);  // also refuses what cannot be a key
  if (entries_.size() <= kLinear) {
    for (const auto& entry : entries_) {
      if (equal(entry.first, key)) return &entry.second;
    }
    return nullptr;
  }
  const uint32_t at = index_[slot(hashed, key)];
  return at ? &entries_[at - 1].second : nullptr;
}

size_t Dict::slot(uint64_t hashed, const Value& key) const {
  const size_t mask = index_.size() - 1;
  size_t at = hashed & mask;
  while (index_[at] && !equal(entries_[index_[at] - 1].first, key)) at = (at + 1) & mask;
  return at;
}

void Dict::grow() {
  index_.assign(std::max<size_t>(32, index_.size() * 2), 0);
  for (uint32_t i = 0; i < entries_.size(); ++i) index_[slot(hash(entries_[i].first), entries_[i].first)] = i + 1;
}

void Dict::set(Value key, Value value) {
  if (const Value* found = find(key)) {
    *const_cast<Value*>(found) = std::move(value);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() <= kLinear) return;
  if (index_.size() < entries_.size() * 2) {
    grow();
  } else {
    const Value& added = entries_.back().first;
    index_[slot(hash(added), added)] = static_cast<uint32_t>(entries_.size());
  }
}

Range::Range(int64_t a, int64_t b, int64_t s) : Object(Kind::kRange), start(a), stop(b), step(s) {
  const __int128 span = s > 0 ? static_cast<__int128>(b) - a : static_cast<__int128>(a) - b;
  const __int128 width = s > 0 ? static_cast<__int128>(s) : -static_cast<__int128>(s);
  const __int128 n = span <= 0 ? 0 : (span + width - 1) / width;
  size = n > INT64_MAX ? INT64_MAX : static_cast<int64_t>(n);
}

Value make_str(std::string&& text) { return Value(new Str(std::move(text))); }
Value make_str_view(std::string_view text) { return Value(new Str(text)); }
Value make_markup(std::string&& text) {
  auto* s = new Str(std::move(text));
  s->markup = true;
  return Value(s);
}
Value make_list(std::vector<Value>&& items, Kind kind) {
  auto* list = new List(kind);
  list->items() = std::move(items);
  return Value(list);
}
Value make_undefined(std::string_view name) {
  auto* u = new Undefined;
  u->name = name;
  return Value(u);
}
Value make_undefined_hint(std::string hint, std::string_view name) {
  auto* u = new Undefined;
  u->hint = std::move(hint);
  u->name = name;
  return Value(u);
}

Value from_json(const Json& json) {
  switch (json.type()) {
    case Json::value_t::null:
      return nullptr;
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<int64_t>();
    case Json::value_t::number_unsigned: {
      const auto n = json.get<uint64_t>();
      if (n > INT64_MAX) fail("the integer {} of the variables is too large (at most 2^63 - 1)", n);
      return static_cast<int64_t>(n);
    }
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return make_str_view(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      auto* list = new List;
      list->source = &json;
      return Value(list);
    }
    case Json::value_t::object: {
      auto* dict = new Dict;
      dict->source = &json;
      return Value(dict);
    }
    default:
      fail("the variables hold a JSON value of an unknown type");
  }
}

std::string type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
      return "missing";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kStr:
      return value.as<Str>().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kDictView:
      switch (value.as<DictView>().what) {
        case DictView::What::kKeys:
          return "dict_keys";
        case DictView::What::kValues:
          return "dict_values";
        default:
          return "dict_items";
      }
    case Kind::kRange:
      return "range";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kMacro:
      return "Macro";
    case Kind::kFunction:
      return "function";
    case Kind::kMethod:
      return "builtin_function_or_method";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kGenerator:
      return value.as<Generator>().type_name;
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
    case Kind::kSelf:
      return "TemplateReference";
  }
  return "object";
}

static bool equal_at(const Value& a, const Value& b, int depth) {
  if (depth > 600) fail("containers nested too deeply to be compared");
  if (a.is_number() && b.is_number()) {
    if (a.is_int() && b.is_int()) return a.as_int() == b.as_int();
    return a.as_float() == b.as_float();
  }
  if (a.kind() != b.kind()) return false;
  spend(a.is_str() ? a.text().size() / 64 : 1);
  switch (a.kind()) {
    case Kind::kNone:
    case Kind::kUndefined:
      return true;
    case Kind::kStr:
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple: {
      if (a.object() == b.object()) return true;
      const auto &x = a.as<List>().items(), &y = b.as<List>().items();
      if (x.size() != y.size()) return false;
      for (size_t i = 0; i < x.size(); ++i) {
        if (!equal_at(x[i], y[i], depth + 1)) return false;
      }
      return true;
    }
    case Kind::kDict: {
      if (a.object() == b.object()) return true;
      auto &x = a.as<Dict>(), &y = b.as<Dict>();
      if (x.entries().size() != y.entries().size()) return false;
      for (const auto& [key, value] : x.entries()) {
        const Value* other = y.find(key);
        if (!other || !equal_at(value, *other, depth + 1)) return false;
      }
      return true;
    }
    case Kind::kRange: {
      const auto &x = a.as<Range>(), &y = b.as<Range>();
      return x.size == y.size && (x.size == 0 || (x.start == y.start && (x.size == 1 || x.step == y.step)));
    }
    default:
      return a.object() == b.object();
  }
}

bool equal(const Value& a, const Value& b) { return equal_at(a, b, 0); }

uint64_t hash(const Value& value) {
  spend(1);
  constexpr uint64_t kPrime = 0x9E3779B97F4A7C15u;
  switch (value.kind()) {
    case Kind::kNone:
      return kPrime;
    case Kind::kBool:
    case Kind::kInt:
      return static_cast<uint64_t>(value.as_int()) * kPrime >> 7;
    case Kind::kFloat: {
      const double d = value.as_float();
      if (std::abs(d) < 9e18 && d == std::floor(d)) return static_cast<uint64_t>(static_cast<int64_t>(d)) * kPrime >> 7;
      return std::hash<double>()(d);
    }
    case Kind::kStr:
      return std::hash<std::string_view>()(value.text());
    case Kind::kTuple: {
      uint64_t h = 17;
      for (const auto& item : value.as<List>().items()) h = (h ^ hash(item)) * kPrime;
      return h;
    }
    case Kind::kList:
    case Kind::kDict:
      fail("unhashable type: '{}'", type_name(value));
    case Kind::kUndefined:
      return 7;
    default:
      return reinterpret_cast<uintptr_t>(value.object()) >> 4;
  }
}

}  // namespace automodel::tokenizer::jinja
