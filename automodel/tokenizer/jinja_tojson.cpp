#include <cmath>

#include "automodel/tokenizer/jinja_builtins.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

// json.dumps.
class Writer {
 public:
  Writer(Runtime& runtime, bool ascii, std::optional<std::string> indent, std::string item, std::string key,
         bool sorted)
      : runtime_(runtime),
        ascii_(ascii),
        indent_(std::move(indent)),
        item_(std::move(item)),
        key_(std::move(key)),
        sorted_(sorted) {}

  std::string out;

  void write(const Value& value) {
    Nesting nesting(runtime_);
    runtime_.step();
    if (out.size() > runtime_.options.max_output_bytes) runtime_.charge(out.size());
    switch (value.kind()) {
      case Kind::kNone:
        out += "null";
        break;
      case Kind::kBool:
        out += value.as_bool() ? "true" : "false";
        break;
      case Kind::kInt:
        out += fmt::format("{}", value.as_int());
        break;
      case Kind::kFloat:
        out += number(value.as_float());
        break;
      case Kind::kStr:
        string(value.text());
        break;
      case Kind::kList:
      case Kind::kTuple:
        list(value.as<List>().items());
        break;
      case Kind::kDict:
        dict(value.as<Dict>().entries());
        break;
      default:
        fail("Object of type {} is not JSON serializable", type_name(value));
    }
  }

 private:
  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_repr(value);
  }

  void string(std::string_view text) {
    out += '"';
    size_t plain = 0;  // start of what needs no escape
    for (size_t at = 0; at < text.size();) {
      const auto byte = static_cast<unsigned char>(text[at]);
      if (byte >= 0x20 && byte != '"' && byte != '\\' && (byte < 0x80 || !ascii_)) {
        ++at;
        continue;
      }
      out += text.substr(plain, at - plain);
      escape(decode(text, at));
      plain = at;
    }
    out += text.substr(plain);
    out += '"';
  }

  void escape(char32_t code) {
    static constexpr std::string_view kFrom = "\"\\\n\r\t\f\b", kTo = "\"\\nrtfb";
    const size_t found = code < 0x80 ? kFrom.find(static_cast<char>(code)) : std::string_view::npos;
    if (found != std::string_view::npos) {
      out += '\\';
      out += kTo[found];
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
    } else {
      const uint32_t rest = static_cast<uint32_t>(code) - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 | rest >> 10, 0xDC00 | (rest & 0x3FF));
    }
  }

  void newline() {
    if (!indent_) return;
    out += '\n';
    for (int i = 0; i < level_; ++i) out += *indent_;
  }

  void list(const std::vector<Value>& items) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) out += item_;
      newline();
      write(items[i]);
    }
    --level_;
    newline();
    out += ']';
  }

  void dict(const std::vector<Dict::Entry>& entries) {
    if (entries.empty()) {
      out += "{}";
      return;
    }
    std::vector<const Dict::Entry*> order;
    for (const auto& entry : entries) order.push_back(&entry);
    if (sorted_)
      std::stable_sort(order.begin(), order.end(),
                       [](const auto* a, const auto* b) { return less(a->first, b->first); });
    out += '{';
    ++level_;
    bool first = true;
    for (const auto* entry : order) {
      if (!std::exchange(first, false)) out += item_;
      newline();
      key(entry->first);
      out += key_;
      write(entry->second);
    }
    --level_;
    newline();
    out += '}';
  }

  void key(const Value& value) {
    switch (value.kind()) {
      case Kind::kStr:
        string(value.text());
        break;
      case Kind::kNone:
        out += "\"null\"";
        break;
      case Kind::kBool:
        out += value.as_bool() ? "\"true\"" : "\"false\"";
        break;
      case Kind::kInt:
        out += fmt::format("\"{}\"", value.as_int());
        break;
      case Kind::kFloat:
        out += "\"" + number(value.as_float()) + "\"";
        break;
      default:
        fail("keys must be str, int, float, bool or None, not {}", type_name(value));
    }
  }

  Runtime& runtime_;
  bool ascii_;
  std::optional<std::string> indent_;
  std::string item_, key_;
  bool sorted_;
  int level_ = 0;
};

}  // namespace

Value to_json(Runtime& runtime, const Value& subject, Args& args) {
  auto [ascii, indent, separators, sorted] =
      bind("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  std::optional<std::string> step;
  if (indent.is_str()) {
    step = indent.text();
  } else if (!indent.is_missing() && !indent.is_none()) {
    const int64_t width = index_argument(indent, "indent: ");
    if (width > 1024) fail("an indent of {} is too wide (at most 1024)", width);
    step = std::string(std::max<int64_t>(0, width), ' ');
  }
  std::string item = step ? "," : ", ", key = ": ";
  if (!separators.is_missing() && !separators.is_none()) {
    const auto pair = to_vector(runtime, separators);
    if (pair.size() != 2 || !pair[0].is_str() || !pair[1].is_str()) fail("separators must be two strings");
    item = pair[0].text();
    key = pair[1].text();
  }
  Writer writer(runtime, truth(ascii), std::move(step), std::move(item), std::move(key), truth(sorted));
  writer.write(subject);
  return runtime.str(std::move(writer.out));
}

}  // namespace automodel::tokenizer::jinja
