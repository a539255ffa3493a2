#include "automodel/tokenizer/jinja_builtins.h"

#include <unordered_map>

#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

using Index = std::unordered_map<std::string_view, const Builtin*>;

static const Builtin* find(const Index& index, std::string_view name) {
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

static Index index_of(const BuiltinTable& table) {
  Index index;
  for (const auto& builtin : table) index[builtin.name] = &builtin;
  return index;
}

const Builtin* find_filter(std::string_view name) {
  static const BuiltinTable table = [] {
    BuiltinTable t;
    add_text_filters(t);
    add_sequence_filters(t);
    add_selection_filters(t);
    add_number_filters(t);
    return t;
  }();
  static const Index index = index_of(table);
  return find(index, name);
}

const Builtin* find_test(std::string_view name) {
  static const BuiltinTable table = [] {
    BuiltinTable t;
    add_tests(t);
    return t;
  }();
  static const Index index = index_of(table);
  return find(index, name);
}

namespace {

constexpr int64_t kMaxRange = 100000;  // the sandbox's

Value make_range(Runtime&, Args& args) {
  if (args.positional.empty()) fail("range expected at least 1 argument, got 0");
  auto [a, b, c] = bind("range", args, {"start", "stop", "step"}, 1);
  const int64_t first = b.is_missing() ? 0 : index_argument(a, "");
  const int64_t stop = index_argument(b.is_missing() ? a : b, "");
  const int64_t step = c.is_missing() ? 1 : index_argument(c, "");
  if (step == 0) fail("range() arg 3 must not be zero");
  auto* range = new Range(first, stop, step);
  Value result(range);
  if (range->size > kMaxRange) fail("range too big: the sandbox blocks ranges of more than {} items", kMaxRange);
  return result;
}

Value make_dict(Runtime& runtime, Args& args) {
  if (args.positional.size() > 1) fail("dict expected at most 1 argument, got {}", args.positional.size());
  auto* dict = new Dict;
  Value result(dict);
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is(Kind::kDict)) {
      runtime.charge(source.as<Dict>().entries().size() * 2 * sizeof(Value));
      for (const auto& [key, value] : source.as<Dict>().entries()) dict->set(key, value);
    } else {
      Iterator iterator(source);
      for (Value item; iterator.next(runtime, item);) {
        auto pair = to_vector(runtime, item);
        if (pair.size() != 2) fail("dictionary update sequence element has length {}; 2 is required", pair.size());
        dict->set(std::move(pair[0]), std::move(pair[1]));
        runtime.charge(2 * sizeof(Value));
      }
    }
  }
  for (auto& [name, value] : args.named) dict->set(make_str(std::string(name)), value);
  return result;
}

Value make_namespace(Runtime& runtime, Args& args) {
  runtime.charge(256);
  auto* space = new Namespace;
  Value result(space);
  space->attributes = make_dict(runtime, args);
  runtime.cyclic.push_back(result);
  return result;
}

Value make_cycler(Runtime&, Args& args) {
  if (args.positional.empty() || !args.named.empty()) fail("at least one item has to be provided");
  auto* cycler = new Cycler;
  cycler->items = std::move(args.positional);
  return Value(cycler);
}

Value make_joiner(Runtime&, Args& args) {
  auto [separator] = bind("joiner", args, {"sep"});
  return Value(new Joiner(separator.is_missing() ? make_str(", ") : separator));
}

Value raise_exception(Runtime& runtime, Args& args) {
  auto [message] = bind("raise_exception", args, {"message"}, 1);
  throw Fault(to_str(runtime, message));
}

Value strftime_now(Runtime& runtime, Args& args) {
  auto [format] = bind("strftime_now", args, {"format"}, 1);
  if (!format.is_str()) fail("strftime() argument 1 must be str, not {}", type_name(format));
  std::tm now{};
  if (runtime.options.now) {
    now = *runtime.options.now;
  } else {
    const std::time_t seconds = std::time(nullptr);
    localtime_r(&seconds, &now);
  }
  std::string pattern(format.text());
  for (const auto& [from, to] : {std::pair("%f", "000000"), std::pair("%z", ""), std::pair("%Z", "")}) {
    pattern = replace_text(runtime, pattern, from, to, -1);
  }
  if (pattern.empty()) return make_str("");
  if (pattern.size() > 4096) fail("the format of strftime_now is longer than 4096 bytes");
  std::string out(pattern.size() * 16 + 256, '\0');
  out.resize(std::strftime(out.data(), out.size(), pattern.c_str(), &now));
  return runtime.str(std::move(out));
}

Value lipsum(Runtime&, Args&) { fail("lipsum() is not supported: a render must be repeatable"); }

}  // namespace

Value find_global(std::string_view name) {
  static constexpr std::pair<const char*, Value (*)(Runtime&, Args&)> kGlobals[] = {
      {"range", make_range},
      {"dict", make_dict},
      {"namespace", make_namespace},
      {"cycler", make_cycler},
      {"joiner", make_joiner},
      {"raise_exception", raise_exception},
      {"lipsum", lipsum},
      {"strftime_now", strftime_now},
  };
  for (const auto& [known, call] : kGlobals) {
    if (name == known) return Value(new GlobalFunction(known, call));
  }
  return {};
}

}  // namespace automodel::tokenizer::jinja
