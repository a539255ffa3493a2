#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

static std::vector<Value> attribute_parts(const Value& path) {
  std::vector<Value> parts;
  if (path.is_missing() || path.is_none()) return parts;
  if (!path.is_str()) {
    parts.push_back(path);
    return parts;
  }
  std::string_view rest = path.text();
  while (true) {
    const size_t dot = rest.find('.');
    const auto part = rest.substr(0, dot);
    const bool number =
        !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == std::string_view::npos;
    parts.push_back(number ? Value(static_cast<int64_t>(std::stoll(std::string(part)))) : make_str(std::string(part)));
    if (dot == std::string_view::npos) return parts;
    rest = rest.substr(dot + 1);
  }
}

Attribute::Attribute(const Value& path, Value absent) : parts_(attribute_parts(path)), absent_(std::move(absent)) {}

Value Attribute::operator()(Runtime& runtime, Value item) const {
  for (const Value& part : parts_) {
    item = get_item(runtime, item, part);
    if (item.is_undefined() && !absent_.is_missing() && !absent_.is_none()) item = absent_;
  }
  return item;
}

namespace {

Value ignore_case(Runtime& runtime, Value value) { return value.is_str() ? runtime.str(lower(value.text())) : value; }

// Evaluated when it is first read, as a Python generator function is.
Value lazily(const char* type, Runtime& runtime, std::function<std::vector<Value>(Runtime&)> make) {
  return Value(new Generator(type, [&runtime, make = std::move(make), items = std::optional<std::vector<Value>>(),
                                    at = size_t{0}](Value& out) mutable {
    if (!items) items = make(runtime);
    if (at >= items->size()) return false;
    out = (*items)[at++];
    return true;
  }));
}

Value first(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("first", args);
  Value item;
  Iterator iterator(subject);
  return iterator.next(runtime, item) ? item : make_undefined_hint("No first item, sequence was empty.");
}

Value last(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("last", args);
  const auto items = reversed(runtime, subject);
  return items.empty() ? make_undefined_hint("No last item, sequence was empty.") : items.front();
}

Value default_value(Runtime&, const Value& subject, Args& args) {
  auto [absent, boolean] = bind("default", args, {"default_value", "boolean"});
  if (!subject.is_undefined() && !(truth(boolean) && !truth(subject))) return subject;
  return absent.is_missing() ? make_str("") : absent;
}

Value reverse(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("reverse", args);
  if (subject.is_str()) {
    std::string out;
    const auto codes = code_points(subject.text());
    for (size_t i = codes.size(); i-- > 0;) append_utf8(out, codes[i]);
    return subject.as<Str>().markup ? make_markup(std::move(out)) : runtime.str(std::move(out));
  }
  if (subject.is(Kind::kGenerator)) {
    auto items = to_vector(runtime, subject);
    std::reverse(items.begin(), items.end());
    return runtime.list(std::move(items));
  }
  if (!is_iterable(subject)) fail("argument must be iterable");
  return lazily("list_reverseiterator", runtime, [subject](Runtime& r) { return reversed(r, subject); });
}

// The order of Python's sorted(): stable, by '<' alone.
void sort_by_keys(std::vector<std::pair<Value, Value>>& keyed, bool descending) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return descending ? less(b.first, a.first) : less(a.first, b.first);
  });
}

Value sort(Runtime& runtime, const Value& subject, Args& args) {
  auto [descending, case_sensitive, attribute] = bind("sort", args, {"reverse", "case_sensitive", "attribute"});
  std::vector<Attribute> paths;
  if (attribute.is_str()) {
    std::string_view rest = attribute.text();
    for (size_t comma; (comma = rest.find(',')) != std::string_view::npos; rest = rest.substr(comma + 1)) {
      paths.emplace_back(make_str(std::string(rest.substr(0, comma))));
    }
    paths.emplace_back(make_str(std::string(rest)));
  } else {
    paths.emplace_back(attribute);
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (auto& item : to_vector(runtime, subject)) {
    std::vector<Value> key;
    for (const auto& path : paths) {
      Value part = path(runtime, item);
      key.push_back(truth(case_sensitive) ? part : ignore_case(runtime, part));
    }
    keyed.emplace_back(make_list(std::move(key)), std::move(item));
  }
  sort_by_keys(keyed, truth(descending));
  std::vector<Value> out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return runtime.list(std::move(out));
}

Value dictsort(Runtime& runtime, const Value& subject, Args& args) {
  auto [case_sensitive, by, descending] = bind("dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string which = by.is_missing() ? "key" : to_str(runtime, by);
  if (which != "key" && which != "value") fail("you can only sort by either \"key\" or \"value\"");
  if (subject.is_undefined()) fail_undefined(subject);
  if (!subject.is(Kind::kDict)) fail("'{}' has no attribute 'items'", object_name(subject));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : subject.as<Dict>().entries()) {
    const Value& order = which == "key" ? key : value;
    keyed.emplace_back(truth(case_sensitive) ? order : ignore_case(runtime, order), make_tuple({key, value}));
  }
  sort_by_keys(keyed, truth(descending));
  std::vector<Value> out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return runtime.list(std::move(out));
}

Value extreme(Runtime& runtime, const Value& subject, Args& args, bool largest) {
  auto [case_sensitive, attribute] = bind(largest ? "max" : "min", args, {"case_sensitive", "attribute"});
  const Attribute get(attribute);
  Value best, best_key;
  Iterator iterator(subject);
  for (Value item; iterator.next(runtime, item);) {
    Value key = get(runtime, item);
    if (!truth(case_sensitive)) key = ignore_case(runtime, key);
    if (best.is_missing() || (largest ? less(best_key, key, ">") : less(key, best_key))) {
      best = item;
      best_key = key;
    }
  }
  return best.is_missing() ? make_undefined_hint("No aggregated item, sequence was empty.") : best;
}

Value unique(Runtime& runtime, const Value& subject, Args& args) {
  auto [case_sensitive, attribute] = bind("unique", args, {"case_sensitive", "attribute"});
  const Value seen(new Dict);
  return Value(
      new Generator("generator", [&runtime, subject, seen, exact = truth(case_sensitive), get = Attribute(attribute),
                                  iterator = std::optional<Iterator>()](Value& out) mutable {
        if (!iterator) iterator.emplace(subject);
        while (iterator->next(runtime, out)) {
          Value key = get(runtime, out);
          if (!exact) key = ignore_case(runtime, key);
          if (seen.as<Dict>().find(key)) continue;
          seen.as<Dict>().set(key, nullptr);
          return true;
        }
        return false;
      }));
}

Value groupby(Runtime& runtime, const Value& subject, Args& args) {
  auto [attribute, absent, case_sensitive] = bind("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const Attribute get(attribute, absent);
  std::vector<std::pair<Value, Value>> keyed;
  for (auto& item : to_vector(runtime, subject)) {
    Value key = get(runtime, item);
    keyed.emplace_back(truth(case_sensitive) ? key : ignore_case(runtime, key), std::move(item));
  }
  sort_by_keys(keyed, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < keyed.size();) {
    std::vector<Value> members;
    const size_t start = i;
    for (; i < keyed.size() && equal(keyed[i].first, keyed[start].first); ++i) members.push_back(keyed[i].second);
    Value name = truth(case_sensitive) ? keyed[start].first : get(runtime, members.front());
    Value group = make_tuple({std::move(name), runtime.list(std::move(members))});
    group.as<List>().group = true;
    groups.push_back(std::move(group));
  }
  return runtime.list(std::move(groups));
}

Value batch(Runtime& runtime, const Value& subject, Args& args) {
  auto [count, fill] = bind("batch", args, {"linecount", "fill_with"}, 1);
  return lazily("generator", runtime, [subject, count = count, fill = fill](Runtime& r) {
    const int64_t n = index_argument(count, "");
    std::vector<Value> out, line;
    for (auto& item : to_vector(r, subject)) {
      if (static_cast<int64_t>(line.size()) == n) out.push_back(r.list(std::exchange(line, {})));
      line.push_back(std::move(item));
    }
    if (line.empty()) return out;
    if (n > static_cast<int64_t>(line.size()) && !fill.is_missing() && !fill.is_none()) {
      r.charge(static_cast<uint64_t>(n) > r.options.max_output_bytes ? UINT64_MAX / 2 : n * sizeof(Value));
      line.resize(n, fill);
    }
    out.push_back(r.list(std::move(line)));
    return out;
  });
}

Value slices(Runtime& runtime, const Value& subject, Args& args) {
  auto [count, fill] = bind("slice", args, {"slices", "fill_with"}, 1);
  return lazily("generator", runtime, [subject, count = count, fill = fill](Runtime& r) {
    const auto items = to_vector(r, subject);
    const int64_t n = index_argument(count, ""), size = static_cast<int64_t>(items.size());
    if (n == 0) fail("integer division or modulo by zero");
    std::vector<Value> out;
    int64_t at = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t take = size / n + (i < size % n ? 1 : 0);
      std::vector<Value> part(items.begin() + at, items.begin() + at + take);
      at += take;
      if (!fill.is_missing() && !fill.is_none() && i >= size % n) part.push_back(fill);
      out.push_back(r.list(std::move(part)));
      r.step();
    }
    return out;
  });
}

Value items(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("items", args);
  return lazily("generator", runtime, [subject](Runtime& r) {
    std::vector<Value> out;
    if (subject.is_undefined()) return out;
    if (!subject.is(Kind::kDict)) fail("can only get item pairs from a mapping");
    return to_vector(r, Value(new DictView(subject, DictView::What::kItems)));
  });
}

Value attr(Runtime& runtime, const Value& subject, Args& args) {
  auto [name] = bind("attr", args, {"name"}, 1);
  if (!name.is_str()) fail("attr: the attribute's name must be a string");
  Value found = find_attribute(runtime, subject, name.text());
  return found.is_missing()
             ? make_undefined_hint(fmt::format("'{}' has no attribute {}", object_name(subject), str_repr(name.text())))
             : found;
}

Value random(Runtime&, const Value&, Args&) { fail("the filter random is not supported: a render must be repeatable"); }

}  // namespace

void add_sequence_filters(BuiltinTable& table) {
  const auto count = [](Runtime&, const Value& v, Args& a) {
    bind_none("length", a);
    return Value(length(v));
  };
  const BuiltinTable filters = {
      {"length", count},
      {"count", count},
      {"list",
       [](Runtime& r, const Value& v, Args& a) {
         bind_none("list", a);
         return r.list(to_vector(r, v));
       }},
      {"max", [](Runtime& r, const Value& v, Args& a) { return extreme(r, v, a, true); }},
      {"min", [](Runtime& r, const Value& v, Args& a) { return extreme(r, v, a, false); }},
      {"first", first},
      {"last", last},
      {"default", default_value},
      {"d", default_value},
      {"reverse", reverse},
      {"sort", sort},
      {"dictsort", dictsort},
      {"unique", unique},
      {"groupby", groupby},
      {"batch", batch},
      {"slice", slices},
      {"items", items},
      {"attr", attr},
      {"random", random},
  };
  table.insert(table.end(), filters.begin(), filters.end());
}

}  // namespace automodel::tokenizer::jinja
