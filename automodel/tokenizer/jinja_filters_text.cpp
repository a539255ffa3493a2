#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

// What str(subject).method() gives; markup stays markup.
Value mapped(Runtime& runtime, const Value& subject, Args& args, const char* name,
             std::string (*map)(std::string_view)) {
  bind_none(name, args);
  const Value text = as_str(runtime, subject);
  auto out = map(text.text());
  runtime.charge(out.size() + 32);
  return text.as<Str>().markup ? make_markup(std::move(out)) : make_str(std::move(out));
}

// Words begin after a space or one of - ( { [ <; unlike str.title, the rest of a word is lowered whatever it holds.
std::string title_words(std::string_view text) {
  std::string out, word;
  const auto flush = [&] {
    if (word.empty()) return;
    size_t at = 0;
    decode(word, at);
    out += upper(std::string_view(word).substr(0, at)) + lower(std::string_view(word).substr(at));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t c = decode(text, at);
    if (is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<') {
      flush();
      out += text.substr(start, at - start);
    } else {
      word += text.substr(start, at - start);
    }
  }
  flush();
  return out;
}

Value replace(Runtime& runtime, const Value& subject, Args& args) {
  auto [old, fresh, count] = bind("replace", args, {"old", "new", "count"}, 2);
  const int64_t most = count.is_missing() || count.is_none() ? -1 : index_argument(count, "");
  const Value text = as_str(runtime, subject), from = as_str(runtime, old), to = as_str(runtime, fresh);
  return runtime.str(replace_text(runtime, text.text(), from.text(), to.text(), most));
}

Value trim(Runtime& runtime, const Value& subject, Args& args) {
  auto [chars] = bind("trim", args, {"chars"});
  const Value text = as_str(runtime, subject);
  Args inner;
  if (!chars.is_missing()) inner.positional.push_back(chars);
  return find_method(Kind::kStr, "strip")->call(runtime, text, inner);
}

Value center(Runtime& runtime, const Value& subject, Args& args) {
  auto [width] = bind("center", args, {"width"});
  const int64_t n = width.is_missing() ? 80 : index_argument(width, "");
  return runtime.str(pad_text(runtime, as_str(runtime, subject).text(), n, 0, " "));
}

Value indent(Runtime& runtime, const Value& subject, Args& args) {
  auto [width, first, blank] = bind("indent", args, {"width", "first", "blank"});
  if (subject.is_undefined()) fail_undefined(subject);
  if (!subject.is_str()) fail("unsupported operand types for +: '{}' and 'str'", type_name(subject));
  std::string by;
  if (width.is_str())
    by = width.text();
  else
    by = pad_text(runtime, "", width.is_missing() ? 4 : index_argument(width, ""), -1, " ");
  const std::string text = std::string(subject.text()) + "\n";
  const auto lines = split_lines(text, false);
  runtime.charge(text.size() + lines.size() * by.size());
  std::string out = truth(first) ? by : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i) {
      out += '\n';
      if (truth(blank) || !lines[i].empty()) out += by;
    }
    out += lines[i];
  }
  return make_str(std::move(out));
}

Value join(Runtime& runtime, const Value& subject, Args& args) {
  auto [d, attribute] = bind("join", args, {"d", "attribute"});
  const Attribute get(attribute);
  const std::string separator = d.is_missing() ? "" : to_str(runtime, d);
  std::string out;
  bool first = true;
  Iterator iterator(subject);
  for (Value item; iterator.next(runtime, item);) {
    if (!std::exchange(first, false)) out += separator;
    append_str(runtime, out, get(runtime, item));
    if (out.size() > runtime.options.max_output_bytes) runtime.charge(out.size());
  }
  return runtime.str(std::move(out));
}

Value format(Runtime& runtime, const Value& subject, Args& args) {
  if (!args.positional.empty() && !args.named.empty()) fail("format: positional and named arguments at the same time");
  Value values;
  if (args.named.empty()) {
    values = make_tuple(std::move(args.positional));
  } else {
    auto* dict = new Dict;
    values = Value(dict);
    for (auto& [name, value] : args.named) dict->set(make_str(std::string(name)), value);
  }
  return modulo(runtime, as_str(runtime, subject), values);
}

Value truncate(Runtime& runtime, const Value& subject, Args& args) {
  auto [length_, killwords, end_, leeway_] = bind("truncate", args, {"length", "killwords", "end", "leeway"});
  const int64_t most = length_.is_missing() ? 255 : index_argument(length_, "");
  const int64_t leeway = leeway_.is_missing() || leeway_.is_none() ? 5 : index_argument(leeway_, "");
  const std::string end = end_.is_missing() ? "..." : to_str(runtime, end_);
  const int64_t kept = most - count_characters(end);
  if (kept < 0) fail("truncate: expected length >= {}, got {}", count_characters(end), most);
  if (leeway < 0) fail("truncate: expected leeway >= 0, got {}", leeway);
  if (length(subject) <= most + leeway) return subject;
  if (!subject.is_str()) fail("truncate: expected a string, got '{}'", type_name(subject));
  std::string_view cut = subject.text().substr(0, byte_of(subject.text(), kept));
  if (!truth(killwords)) cut = cut.substr(0, cut.rfind(' '));
  return runtime.str(std::string(cut) + end);
}

Value wordcount(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("wordcount", args);
  int64_t words = 0;
  bool inside = false;
  for (const char32_t c : code_points(as_str(runtime, subject).text())) {
    const bool part = c == '_' || is_alpha(c) || is_numeric(c);
    words += part && !inside;
    inside = part;
  }
  return words;
}

Value escape(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("escape", args);
  if (subject.is_str() && subject.as<Str>().markup) return subject;
  auto text = escape_html(as_str(runtime, subject).text());
  runtime.charge(text.size());
  return make_markup(std::move(text));
}

Value force_escape(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("forceescape", args);
  auto text = escape_html(as_str(runtime, subject).text());
  runtime.charge(text.size());
  return make_markup(std::move(text));
}

std::string url_quote(Runtime& runtime, const Value& value, bool query) {
  std::string out;
  const Value text = as_str(runtime, value);
  for (const char c : text.text()) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query))
      out += c;
    else if (c == ' ' && query)
      out += '+';
    else
      out += fmt::format("%{:02X}", byte);
  }
  return out;
}

Value urlencode(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("urlencode", args);
  if (subject.is_str() || !is_iterable(subject)) return runtime.str(url_quote(runtime, subject, false));
  std::string out;
  Iterator iterator(subject.is(Kind::kDict) ? Value(new DictView(subject, DictView::What::kItems)) : subject);
  for (Value item; iterator.next(runtime, item);) {
    const auto pair = to_vector(runtime, item);
    if (pair.size() != 2) fail("cannot unpack {} values into 2", pair.size());
    if (!out.empty()) out += '&';
    out += url_quote(runtime, pair[0], true) + "=" + url_quote(runtime, pair[1], true);
  }
  return runtime.str(std::move(out));
}

Value xmlattr(Runtime& runtime, const Value& subject, Args& args) {
  auto [autospace] = bind("xmlattr", args, {"autospace"});
  if (!subject.is(Kind::kDict)) fail("'{}' has no attribute 'items'", object_name(subject));
  std::string out;
  for (const auto& [key, value] : subject.as<Dict>().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_str()) fail("expected string as an attribute name");
    if (key.text().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos) {
      fail("invalid character in attribute name: {}", str_repr(key.text()));
    }
    if (!out.empty()) out += ' ';
    const Value text = as_str(runtime, value);
    out += escape_html(key.text()) + "=\"" +
           (text.as<Str>().markup ? std::string(text.text()) : escape_html(text.text())) + "\"";
  }
  if ((autospace.is_missing() || truth(autospace)) && !out.empty()) out = " " + out;
  return runtime.str(std::move(out));
}

std::string unescape_html(std::string_view text) {
  static constexpr std::pair<std::string_view, std::string_view> kNamed[] = {
      {"&amp;", "&"}, {"&lt;", "<"},   {"&gt;", ">"},       {"&quot;", "\""},
      {"&#39;", "'"}, {"&#34;", "\""}, {"&nbsp;", "\u00a0"}};
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto* found = std::find_if(std::begin(kNamed), std::end(kNamed),
                                     [&](const auto& n) { return text.substr(i).starts_with(n.first); });
    if (found != std::end(kNamed)) {
      out += found->second;
      i += found->first.size();
    } else if (text[i] == '&' && i + 1 < text.size() &&
               (std::isalpha(static_cast<unsigned char>(text[i + 1])) || text[i + 1] == '#')) {
      fail("striptags: the character reference at {} is not supported", str_repr(text.substr(i, 12)));
    } else {
      out += text[i++];
    }
  }
  return out;
}

Value striptags(Runtime& runtime, const Value& subject, Args& args) {
  bind_none("striptags", args);
  std::string text = to_str(runtime, subject);
  for (const auto& [open, close] : {std::pair("<!--", "-->"), std::pair("<", ">")}) {
    for (size_t start; (start = text.find(open)) != std::string::npos;) {
      const size_t end = text.find(close, start);
      if (end == std::string::npos) break;
      text.erase(start, end + std::string_view(close).size() - start);
      runtime.step(text.size() / 64);
    }
  }
  Args none;
  const Value words = find_method(Kind::kStr, "split")->call(runtime, make_str(std::move(text)), none);
  std::string out;
  for (const auto& word : words.as<List>().items()) out += (out.empty() ? "" : " ") + std::string(word.text());
  return runtime.str(unescape_html(out));
}

Value unsupported(Runtime&, const Value&, Args&) { fail("this filter is not supported in chat templates"); }

}  // namespace

void add_text_filters(BuiltinTable& table) {
  const BuiltinTable filters = {
      {"capitalize", [](Runtime& r, const Value& v, Args& a) { return mapped(r, v, a, "capitalize", capitalize); }},
      {"lower", [](Runtime& r, const Value& v, Args& a) { return mapped(r, v, a, "lower", lower); }},
      {"upper", [](Runtime& r, const Value& v, Args& a) { return mapped(r, v, a, "upper", upper); }},
      {"title", [](Runtime& r, const Value& v, Args& a) { return mapped(r, v, a, "title", title_words); }},
      {"string",
       [](Runtime& r, const Value& v, Args& a) {
         bind_none("string", a);
         return as_str(r, v);
       }},
      {"safe",
       [](Runtime& r, const Value& v, Args& a) {
         bind_none("safe", a);
         return make_markup(to_str(r, v));
       }},
      {"replace", replace},
      {"trim", trim},
      {"center", center},
      {"indent", indent},
      {"join", join},
      {"format", format},
      {"truncate", truncate},
      {"escape", escape},
      {"e", escape},
      {"forceescape", force_escape},
      {"wordcount", wordcount},
      {"urlencode", urlencode},
      {"xmlattr", xmlattr},
      {"striptags", striptags},
      {"tojson", to_json},
      {"wordwrap", unsupported},
      {"urlize", unsupported},
      {"pprint", unsupported},
  };
  table.insert(table.end(), filters.begin(), filters.end());
}

}  // namespace automodel::tokenizer::jinja
