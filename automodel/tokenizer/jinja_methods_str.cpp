#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

// A result keeps the subject's markup, as markupsafe's does.
static Value like(Runtime& runtime, const Value& self, std::string&& text) {
  runtime.charge(text.size() + 32);
  runtime.step(text.size() / 64);
  return self.as<Str>().markup ? make_markup(std::move(text)) : make_str(std::move(text));
}

static std::string_view text_argument(const Value& value, const char* method) {
  if (!value.is_str()) fail("{}() argument must be str, not {}", method, type_name(value));
  return value.text();
}

template <std::string (*Map)(std::string_view)>
static Value mapped(Runtime& runtime, const Value& self, Args& args) {
  bind_none("str method", args);
  return like(runtime, self, Map(self.text()));
}

template <bool Left, bool Right>
static Value stripped(Runtime& runtime, const Value& self, Args& args) {
  auto [chars] = bind("strip", args, {"chars"});
  if (chars.is_missing() || chars.is_none()) {
    const auto text = strip(self.text(), Left, Right);
    return text.size() == self.text().size() ? self : like(runtime, self, std::string(text));
  }
  const auto codes = code_points(text_argument(chars, "strip"));
  const std::u32string set(codes.begin(), codes.end());
  runtime.step(set.size() / 8);
  return like(runtime, self, std::string(strip(self.text(), Left, Right, &set)));
}

template <bool (*Each)(char32_t)>
static Value all_are(Runtime&, const Value& self, Args& args) {
  bind_none("str method", args);
  const auto codes = code_points(self.text());
  return !codes.empty() && std::all_of(codes.begin(), codes.end(), Each);
}

static bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c) || is_digit(c); }

static Value is_case(const Value& self, bool (*wanted)(char32_t), bool (*other)(char32_t)) {
  bool cased = false;
  for (const char32_t c : code_points(self.text())) {
    if (other(c) || is_title(c)) return false;
    cased |= wanted(c);
  }
  return cased;
}

static Value is_titled(const Value& self) {
  bool cased = false, inside = false;
  for (const char32_t c : code_points(self.text())) {
    const bool capital = is_upper(c) || is_title(c), small = is_lower(c);
    if ((capital && inside) || (small && !inside)) return false;
    inside = capital || small;
    cased |= inside;
  }
  return cased;
}

// The part of `self` that start and stop (in characters) leave; nothing if start is behind the end.
static std::optional<std::pair<size_t, size_t>> window(const Value& self, const Value& start, const Value& stop) {
  const int64_t n = self.as<Str>().length();
  const auto bound = [&](const Value& v, int64_t absent) {
    if (v.is_missing() || v.is_none()) return absent;
    const int64_t i = index_argument(v, "slice indices: ");
    return i < 0 ? std::max<int64_t>(0, i + n) : i;
  };
  const int64_t first = bound(start, 0), last = std::min(bound(stop, n), n);
  if (first > n || first > last) return {};
  if (self.as<Str>().ascii()) return std::pair<size_t, size_t>(first, last);
  return std::pair(byte_of(self.text(), first), byte_of(self.text(), last));
}

template <bool End>
static Value affixed(Runtime&, const Value& self, Args& args) {
  auto [affixes, start, stop] = bind(End ? "endswith" : "startswith", args, {"prefix", "start", "stop"}, 1);
  const auto part = window(self, start, stop);
  const auto matches = [&](const Value& affix) {
    const auto text = text_argument(affix, End ? "endswith" : "startswith");
    if (!part) return false;
    const auto inside = self.text().substr(part->first, part->second - part->first);
    return End ? inside.ends_with(text) : inside.starts_with(text);
  };
  if (!affixes.is(Kind::kTuple)) return matches(affixes);
  const auto& items = affixes.as<List>().items();
  return std::any_of(items.begin(), items.end(), matches);
}

// The character index of `needle`, or -1.
static int64_t locate(Runtime& runtime, const Value& self, Args& args, const char* method, bool last) {
  auto [needle, start, stop] = bind(method, args, {"sub", "start", "stop"}, 1);
  const auto wanted = text_argument(needle, method);
  const auto part = window(self, start, stop);
  if (!part) return -1;
  runtime.step(self.text().size() / 8);
  const auto inside = self.text().substr(part->first, part->second - part->first);
  const size_t at = last ? inside.rfind(wanted) : inside.find(wanted);
  return at == std::string_view::npos ? -1 : count_characters(self.text().substr(0, part->first + at));
}

template <bool Last, bool Throws>
static Value found_at(Runtime& runtime, const Value& self, Args& args) {
  const int64_t at = locate(runtime, self, args, Last ? "rfind" : "find", Last);
  if (Throws && at < 0) fail("substring not found");
  return at;
}

static Value count(Runtime& runtime, const Value& self, Args& args) {
  auto [needle, start, stop] = bind("count", args, {"sub", "start", "stop"}, 1);
  const auto wanted = text_argument(needle, "count");
  const auto part = window(self, start, stop);
  if (!part) return 0;
  runtime.step(self.text().size() / 8);
  const auto inside = self.text().substr(part->first, part->second - part->first);
  if (wanted.empty()) return count_characters(inside) + 1;
  int64_t n = 0;
  for (size_t at = 0; (at = inside.find(wanted, at)) != std::string_view::npos; at += wanted.size()) ++n;
  return n;
}

static Value replace(Runtime& runtime, const Value& self, Args& args) {
  if (!args.named.empty()) fail("replace() takes no keyword arguments");
  auto [old, fresh, limit] = bind("replace", args, {"old", "new", "count"}, 2);
  const int64_t most = limit.is_missing() ? -1 : index_argument(limit, "");
  return like(runtime, self,
              replace_text(runtime, self.text(), text_argument(old, "replace"), text_argument(fresh, "replace"), most));
}

static Value join(Runtime& runtime, const Value& self, Args& args) {
  auto [iterable] = bind("join", args, {"iterable"}, 1);
  std::string out;
  int64_t n = 0;
  Iterator iterator(iterable);
  for (Value item; iterator.next(runtime, item); ++n) {
    if (!item.is_str()) fail("sequence item {}: expected str instance, {} found", n, type_name(item));
    if (n) out += self.text();
    out += item.text();
    if (out.size() > runtime.options.max_output_bytes) runtime.charge(out.size());
  }
  return like(runtime, self, std::move(out));
}

static Value pad(Runtime& runtime, const Value& self, Args& args, const char* method, int where) {
  auto [width, fill] = bind(method, args, {"width", "fillchar"}, 1);
  const std::string filler(fill.is_missing() ? " " : text_argument(fill, method));
  if (count_characters(filler) != 1) fail("the fill character must be exactly one character long");
  return like(runtime, self, pad_text(runtime, self.text(), index_argument(width, ""), where, filler));
}

static Value zfill(Runtime& runtime, const Value& self, Args& args) {
  auto [width] = bind("zfill", args, {"width"}, 1);
  const auto text = self.text();
  const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const int64_t rest = index_argument(width, "") - static_cast<int64_t>(sign);
  return like(runtime, self, std::string(text.substr(0, sign)) + pad_text(runtime, text.substr(sign), rest, 1, "0"));
}

static Value expandtabs(Runtime& runtime, const Value& self, Args& args) {
  auto [size] = bind("expandtabs", args, {"tabsize"});
  const int64_t width = size.is_missing() ? 8 : index_argument(size, "");
  std::string out;
  int64_t column = 0;
  for (const char32_t c : code_points(self.text())) {
    if (c == '\t') {
      const int64_t n = width > 0 ? width - column % width : 0;
      if (n > static_cast<int64_t>(runtime.options.max_output_bytes)) runtime.charge(n);
      runtime.charge(n);
      out.append(n, ' ');
      column += n;
    } else {
      append_utf8(out, c);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return like(runtime, self, std::move(out));
}

template <bool Suffix>
static Value without(Runtime& runtime, const Value& self, Args& args) {
  auto [affix] = bind(Suffix ? "removesuffix" : "removeprefix", args, {"affix"}, 1);
  const auto text = self.text(), wanted = text_argument(affix, Suffix ? "removesuffix" : "removeprefix");
  if (wanted.empty() || !(Suffix ? text.ends_with(wanted) : text.starts_with(wanted))) return self;
  return like(runtime, self, std::string(text.substr(Suffix ? 0 : wanted.size(), text.size() - wanted.size())));
}

static Value format(Runtime& runtime, const Value& self, Args& args) {
  auto* named = new Dict;
  const Value holder(named);
  for (const auto& [name, value] : args.named) named->set(make_str(std::string(name)), value);
  return like(runtime, self, brace_format(runtime, self.text(), args.positional, holder));
}

static Value format_map(Runtime& runtime, const Value& self, Args& args) {
  auto [mapping] = bind("format_map", args, {"mapping"}, 1);
  return like(runtime, self, brace_format(runtime, self.text(), {}, mapping));
}

[[noreturn]] static Value unsupported(Runtime&, const Value&, Args&) {
  fail("this method of str is not supported in chat templates");
}

void add_str_methods(MethodTable& table) {
  const MethodTable methods = {
      {"upper", mapped<upper>},
      {"lower", mapped<lower>},
      {"casefold", mapped<casefold>},
      {"capitalize", mapped<capitalize>},
      {"title", mapped<title>},
      {"swapcase", mapped<swapcase>},
      {"strip", stripped<true, true>},
      {"lstrip", stripped<true, false>},
      {"rstrip", stripped<false, true>},
      {"startswith", affixed<false>},
      {"endswith", affixed<true>},
      {"find", found_at<false, false>},
      {"rfind", found_at<true, false>},
      {"index", found_at<false, true>},
      {"rindex", found_at<true, true>},
      {"count", count},
      {"replace", replace},
      {"join", join},
      {"zfill", zfill},
      {"expandtabs", expandtabs},
      {"removeprefix", without<false>},
      {"removesuffix", without<true>},
      {"format", format},
      {"format_map", format_map},
      {"isspace", all_are<is_space>},
      {"isalpha", all_are<is_alpha>},
      {"isdecimal", all_are<is_decimal>},
      {"isdigit", all_are<is_digit>},
      {"isnumeric", all_are<is_numeric>},
      {"isalnum", all_are<is_alnum>},
      {"ljust", [](Runtime& r, const Value& self, Args& args) { return pad(r, self, args, "ljust", -1); }},
      {"rjust", [](Runtime& r, const Value& self, Args& args) { return pad(r, self, args, "rjust", 1); }},
      {"center", [](Runtime& r, const Value& self, Args& args) { return pad(r, self, args, "center", 0); }},
      {"isupper", [](Runtime&, const Value& self, Args&) { return is_case(self, is_upper, is_lower); }},
      {"islower", [](Runtime&, const Value& self, Args&) { return is_case(self, is_lower, is_upper); }},
      {"istitle", [](Runtime&, const Value& self, Args&) { return is_titled(self); }},
      {"isascii", [](Runtime&, const Value& self, Args&) { return Value(self.as<Str>().ascii()); }},
      {"isidentifier", [](Runtime&, const Value& self, Args&) { return Value(is_identifier(self.text())); }},
      {"isprintable",
       [](Runtime&, const Value& self, Args&) {
         const auto codes = code_points(self.text());
         return Value(std::all_of(codes.begin(), codes.end(), is_printable));
       }},
      {"encode", unsupported},
      {"translate", unsupported},
      {"maketrans", unsupported},
  };
  table.insert(table.end(), methods.begin(), methods.end());
}

}  // namespace automodel::tokenizer::jinja
