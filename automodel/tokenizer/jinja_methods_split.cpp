#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

std::string replace_text(Runtime& runtime, std::string_view text, std::string_view old, std::string_view fresh,
                         int64_t most) {
  runtime.step(text.size() / 8);
  std::string out;
  const auto add = [&](std::string_view piece) {
    if (out.size() + piece.size() > runtime.options.max_output_bytes) runtime.charge(out.size() + piece.size());
    out += piece;
  };
  size_t at = 0;
  if (old.empty()) {  // before every character and at the end
    for (; most != 0; --most) {
      add(fresh);
      if (at >= text.size()) return out;
      const size_t start = at;
      decode(text, at);
      add(text.substr(start, at - start));
    }
  }
  while (most != 0 && !old.empty()) {
    const size_t found = text.find(old, at);
    if (found == std::string_view::npos) break;
    add(text.substr(at, found - at));
    add(fresh);
    at = found + old.size();
    --most;
  }
  add(text.substr(at));
  return out;
}

std::string pad_text(Runtime& runtime, std::string_view text, int64_t width, int where, std::string_view fill) {
  const int64_t missing = width - count_characters(text);
  if (missing <= 0) return std::string(text);
  if (missing > static_cast<int64_t>(runtime.options.max_output_bytes / fill.size())) runtime.charge(UINT64_MAX / 2);
  runtime.charge(static_cast<uint64_t>(missing) * fill.size());
  const int64_t left = where == 1    ? missing
                       : where == -1 ? 0
                       : where == 2  ? missing / 2
                                     : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (int64_t i = left; i < missing; ++i) out += fill;
  return out;
}

namespace {

struct Pieces {
  Runtime& runtime;
  std::vector<Value> items;
  void add(std::string_view text) { items.push_back(runtime.str(std::string(text))); }
};

void split_space(Pieces& out, std::string_view text, int64_t most) {
  text = strip(text, true, false);
  while (!text.empty()) {
    if (most-- == 0) {
      out.add(text);
      return;
    }
    size_t end = 0, next = 0;
    while (end < text.size() && !is_space(decode(text, next))) end = next;
    out.add(text.substr(0, end));
    text = strip(text.substr(end), true, false);
  }
}

void split_space_right(Pieces& out, std::string_view text, int64_t most) {
  text = strip(text, false, true);
  while (!text.empty()) {
    if (most-- == 0) {
      out.add(text);
      break;
    }
    size_t start = 0;  // behind the last space
    for (size_t at = 0; at < text.size();) {
      if (is_space(decode(text, at))) start = at;
    }
    out.runtime.step(text.size() / 16);
    out.add(text.substr(start));
    text = strip(text.substr(0, start), false, true);
  }
  std::reverse(out.items.begin(), out.items.end());
}

Value split(Runtime& runtime, const Value& self, Args& args) {
  auto [separator, limit] = bind("split", args, {"sep", "maxsplit"});
  int64_t most = limit.is_missing() ? -1 : index_argument(limit, "");
  auto text = self.text();
  runtime.step(text.size() / 8);
  Pieces out{runtime, {}};
  if (separator.is_missing() || separator.is_none()) {
    split_space(out, text, most);
    return runtime.list(std::move(out.items));
  }
  if (!separator.is_str()) fail("must be str or None, not {}", type_name(separator));
  const auto by = separator.text();
  if (by.empty()) fail("empty separator");
  for (size_t at; most != 0 && (at = text.find(by)) != std::string_view::npos; --most) {
    out.add(text.substr(0, at));
    text = text.substr(at + by.size());
  }
  out.add(text);
  return runtime.list(std::move(out.items));
}

Value rsplit(Runtime& runtime, const Value& self, Args& args) {
  auto [separator, limit] = bind("rsplit", args, {"sep", "maxsplit"});
  int64_t most = limit.is_missing() ? -1 : index_argument(limit, "");
  auto text = self.text();
  runtime.step(text.size() / 8);
  Pieces out{runtime, {}};
  if (separator.is_missing() || separator.is_none()) {
    split_space_right(out, text, most);
    return runtime.list(std::move(out.items));
  }
  if (!separator.is_str()) fail("must be str or None, not {}", type_name(separator));
  const auto by = separator.text();
  if (by.empty()) fail("empty separator");
  for (size_t at; most != 0 && (at = text.rfind(by)) != std::string_view::npos; --most) {
    out.add(text.substr(at + by.size()));
    text = text.substr(0, at);
  }
  out.add(text);
  std::reverse(out.items.begin(), out.items.end());
  return runtime.list(std::move(out.items));
}

template <bool Last>
Value partition(Runtime& runtime, const Value& self, Args& args) {
  auto [separator] = bind(Last ? "rpartition" : "partition", args, {"sep"}, 1);
  if (!separator.is_str()) fail("must be str, not {}", type_name(separator));
  const auto text = self.text(), by = separator.text();
  if (by.empty()) fail("empty separator");
  const size_t at = Last ? text.rfind(by) : text.find(by);
  Pieces out{runtime, {}};
  if (at == std::string_view::npos) {
    out.add(Last ? "" : text);
    out.add("");
    out.add(Last ? text : "");
  } else {
    out.add(text.substr(0, at));
    out.add(by);
    out.add(text.substr(at + by.size()));
  }
  return runtime.list(std::move(out.items), Kind::kTuple);
}

Value splitlines(Runtime& runtime, const Value& self, Args& args) {
  auto [keep] = bind("splitlines", args, {"keepends"});
  Pieces out{runtime, {}};
  for (const auto line : split_lines(self.text(), truth(keep))) out.add(line);
  return runtime.list(std::move(out.items));
}

}  // namespace

void add_str_split_methods(MethodTable& table) {
  const MethodTable methods = {
      {"split", split},           {"rsplit", rsplit}, {"partition", partition<false>}, {"rpartition", partition<true>},
      {"splitlines", splitlines},
  };
  table.insert(table.end(), methods.begin(), methods.end());
}

}  // namespace automodel::tokenizer::jinja
