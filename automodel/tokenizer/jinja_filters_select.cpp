#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

// One call of a filter or test with the same arguments for every item.
struct Application {
  const Builtin* builtin;
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  Value operator()(Runtime& runtime, const Value& item) const {
    Args args;
    args.positional = positional;
    for (const auto& [name, value] : named) args.named.emplace_back(name, value);
    return builtin->call(runtime, item, args);
  }
};

Application application(const Args& args, size_t at, bool filter) {
  const Value& name = args.positional[at];
  const Builtin* builtin = name.is_str() ? (filter ? find_filter(name.text()) : find_test(name.text())) : nullptr;
  if (!builtin) {
    fail("no {} named {}", filter ? "filter" : "test",
         name.is_str() ? str_repr(name.text()) : "of the type " + type_name(name));
  }
  Application out{builtin, {args.positional.begin() + static_cast<ptrdiff_t>(at) + 1, args.positional.end()}, {}};
  for (const auto& [key, value] : args.named) out.named.emplace_back(key, value);
  return out;
}

// A generator that sets itself up when it is first read, so that its faults come then, as in Python.
template <class Prepare>
Value generator(Runtime& runtime, const Value& subject, Args& args, Prepare prepare) {
  using Next = std::function<bool(Iterator&, Value&)>;
  std::vector<std::pair<std::string, Value>> names;  // the call's own names may not live as long
  for (auto& [key, value] : args.named) names.emplace_back(key, value);
  return Value(
      new Generator("generator", [&runtime, subject, names = std::move(names), positional = args.positional, prepare,
                                  next = Next(), iterator = std::optional<Iterator>()](Value& out) mutable {
        if (!truth(subject)) return false;
        if (!iterator) {
          Args all;
          all.positional = positional;
          for (const auto& [key, value] : names) all.named.emplace_back(key, value);
          next = prepare(runtime, all);
          iterator.emplace(subject);
        }
        return next(*iterator, out);
      }));
}

Value map(Runtime& runtime, const Value& subject, Args& args) {
  return generator(runtime, subject, args, [](Runtime& r, Args& all) -> std::function<bool(Iterator&, Value&)> {
    const auto is_attribute = [](const auto& named) { return named.first == "attribute"; };
    if (all.positional.empty() && std::any_of(all.named.begin(), all.named.end(), is_attribute)) {
      auto [attribute, absent] = bind("map", all, {"attribute", "default"});
      return [&r, get = Attribute(attribute, absent)](Iterator& iterator, Value& out) {
        if (!iterator.next(r, out)) return false;
        out = get(r, out);
        return true;
      };
    }
    if (all.positional.empty()) fail("map requires a filter argument");
    return [&r, apply = application(all, 0, true)](Iterator& iterator, Value& out) {
      if (!iterator.next(r, out)) return false;
      out = apply(r, out);
      return true;
    };
  });
}

template <bool ByAttribute, bool Wanted>
Value select(Runtime& runtime, const Value& subject, Args& args) {
  return generator(runtime, subject, args, [](Runtime& r, Args& all) -> std::function<bool(Iterator&, Value&)> {
    if (ByAttribute && all.positional.empty()) fail("missing parameter for attribute name");
    const Attribute get(ByAttribute ? all.positional[0] : Value());
    std::optional<Application> test;
    if (const size_t at = ByAttribute ? 1 : 0; all.positional.size() > at) test = application(all, at, false);
    return [&r, get, test](Iterator& iterator, Value& out) {
      while (iterator.next(r, out)) {
        const Value seen = get(r, out);
        if (truth(test ? (*test)(r, seen) : seen) == Wanted) return true;
      }
      return false;
    };
  });
}

}  // namespace

void add_selection_filters(BuiltinTable& table) {
  const BuiltinTable filters = {
      {"map", map},
      {"select", select<false, true>},
      {"reject", select<false, false>},
      {"selectattr", select<true, true>},
      {"rejectattr", select<true, false>},
  };
  table.insert(table.end(), filters.begin(), filters.end());
}

}  // namespace automodel::tokenizer::jinja
