#include "automodel/tokenizer/jinja_methods.h"

#include <cmath>
#include <unordered_map>

#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

static Value view(const Value& self, DictView::What what, const char* name, Args& args) {
  bind_none(name, args);
  return Value(new DictView(self, what));
}

static Value copy_dict(Runtime& runtime, const Value& self) {
  auto* copy = new Dict;
  Value result(copy);
  runtime.charge(self.as<Dict>().entries().size() * 2 * sizeof(Value));
  for (const auto& [key, value] : self.as<Dict>().entries()) copy->set(key, value);
  return result;
}

static const MethodTable kDictMethods = {
    {"keys", [](Runtime&, const Value& self, Args& args) { return view(self, DictView::What::kKeys, "keys", args); }},
    {"values",
     [](Runtime&, const Value& self, Args& args) { return view(self, DictView::What::kValues, "values", args); }},
    {"items",
     [](Runtime&, const Value& self, Args& args) { return view(self, DictView::What::kItems, "items", args); }},
    {"get",
     [](Runtime&, const Value& self, Args& args) {
       if (!args.named.empty()) fail("dict.get() takes no keyword arguments");
       auto [key, absent] = bind("get", args, {"key", "default"}, 1);
       const Value* found = self.as<Dict>().find(key);
       return found ? *found : absent.is_missing() ? Value(nullptr) : absent;
     }},
    {"copy",
     [](Runtime& runtime, const Value& self, Args& args) {
       bind_none("copy", args);
       return copy_dict(runtime, self);
     }},
    {"fromkeys",
     [](Runtime& runtime, const Value&, Args& args) {
       auto [keys, value] = bind("fromkeys", args, {"iterable", "value"}, 1);
       auto* dict = new Dict;
       Value result(dict);
       for (auto& key : to_vector(runtime, keys))
         dict->set(std::move(key), value.is_missing() ? Value(nullptr) : value);
       return result;
     }},
    {"clear", nullptr},
    {"pop", nullptr},
    {"popitem", nullptr},
    {"setdefault", nullptr},
    {"update", nullptr},
};

static Value list_count(Runtime&, const Value& self, Args& args) {
  auto [wanted] = bind("count", args, {"value"}, 1);
  int64_t n = 0;
  for (const auto& item : self.as<List>().items()) n += equal(item, wanted);
  return n;
}

static Value list_index(Runtime& runtime, const Value& self, Args& args) {
  auto [wanted, start, stop] = bind("index", args, {"value", "start", "stop"}, 1);
  const auto& items = self.as<List>().items();
  const auto n = static_cast<int64_t>(items.size());
  const auto bound = [&](const Value& v, int64_t absent) {
    if (v.is_missing()) return absent;
    const int64_t i = index_argument(v, "");
    return i < 0 ? std::max<int64_t>(0, i + n) : std::min(i, n);
  };
  for (int64_t i = bound(start, 0), end = bound(stop, n); i < end; ++i) {
    if (equal(items[i], wanted)) return i;
  }
  std::string text;
  append_repr(runtime, text, wanted);
  fail("{} is not in list", text);
}

static const MethodTable kListMethods = {
    {"count", list_count},
    {"index", list_index},
    {"copy",
     [](Runtime& runtime, const Value& self, Args& args) {
       bind_none("copy", args);
       return runtime.list(to_vector(runtime, self));
     }},
    {"append", nullptr},
    {"clear", nullptr},
    {"pop", nullptr},
    {"reverse", nullptr},
    {"insert", nullptr},
    {"sort", nullptr},
    {"extend", nullptr},
    {"remove", nullptr},
};

static const MethodTable kTupleMethods = {{"count", list_count}, {"index", list_index}};

static const MethodTable kFloatMethods = {
    {"is_integer",
     [](Runtime&, const Value& self, Args& args) {
       bind_none("is_integer", args);
       return Value(std::isfinite(self.as_float()) && self.as_float() == std::floor(self.as_float()));
     }},
};

static const MethodTable kIntMethods = {
    {"bit_length",
     [](Runtime&, const Value& self, Args& args) {
       bind_none("bit_length", args);
       const auto n = static_cast<uint64_t>(self.as_int() < 0 ? -self.as_int() : self.as_int());
       return Value(n ? 64 - __builtin_clzll(n) : 0);
     }},
};

static const MethodTable kCyclerMethods = {
    {"next",
     [](Runtime&, const Value& self, Args& args) {
       bind_none("next", args);
       auto& cycler = self.as<Cycler>();
       Value item = cycler.items[cycler.position];
       cycler.position = (cycler.position + 1) % cycler.items.size();
       return item;
     }},
    {"reset",
     [](Runtime&, const Value& self, Args& args) {
       bind_none("reset", args);
       self.as<Cycler>().position = 0;
       return Value(nullptr);
     }},
};

using Index = std::unordered_map<std::string_view, const Method*>;

static Index index_of(const MethodTable& table) {
  Index index;
  for (const auto& method : table) index[method.name] = &method;
  return index;
}

static const Index& str_index() {
  static const MethodTable table = [] {
    MethodTable t;
    add_str_methods(t);
    add_str_split_methods(t);
    return t;
  }();
  static const Index index = index_of(table);
  return index;
}

const Method* find_method(Kind kind, std::string_view name) {
  static const Index dict = index_of(kDictMethods), list = index_of(kListMethods), tuple = index_of(kTupleMethods),
                     real = index_of(kFloatMethods), integer = index_of(kIntMethods), cycler = index_of(kCyclerMethods);
  const Index* index;
  switch (kind) {
    case Kind::kStr:
      index = &str_index();
      break;
    case Kind::kDict:
      index = &dict;
      break;
    case Kind::kList:
      index = &list;
      break;
    case Kind::kTuple:
      index = &tuple;
      break;
    case Kind::kFloat:
      index = &real;
      break;
    case Kind::kInt:
      index = &integer;
      break;
    case Kind::kCycler:
      index = &cycler;
      break;
    default:
      return nullptr;
  }
  const auto found = index->find(name);
  return found == index->end() ? nullptr : found->second;
}

}  // namespace automodel::tokenizer::jinja
