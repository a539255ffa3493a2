#include "automodel/tokenizer/jinja_methods.h"
#include "automodel/tokenizer/jinja_ops.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const std::vector<Value>& args, const Value& named)
      : runtime_(runtime), args_(args), named_(named) {}

  std::string run(std::string_view format, int depth = 2) {
    if (depth == 0) fail("max string recursion exceeded");
    std::string out;
    for (size_t i = 0; i < format.size();) {
      const char c = format[i++];
      if (c != '{' && c != '}') {
        out += c;
      } else if (i < format.size() && format[i] == c) {
        out += c;
        ++i;
      } else if (c == '}') {
        fail("single '}}' encountered in format string");
      } else {
        const size_t end = closing(format, i);
        out += field(format.substr(i, end - i), depth);
        i = end + 1;
      }
      if (out.size() > runtime_.options.max_output_bytes) runtime_.charge(out.size());
    }
    return out;
  }

 private:
  static size_t closing(std::string_view format, size_t i) {
    int open = 1;
    for (; i < format.size(); ++i) {
      if (format[i] == '{') ++open;
      if (format[i] == '}' && --open == 0) return i;
    }
    fail("expected '}}' before end of string");
  }

  std::string field(std::string_view text, int depth) {
    size_t end = 0;
    for (bool bracket = false; end < text.size(); ++end) {
      if (text[end] == '[') bracket = true;
      if (text[end] == ']') bracket = false;
      if (!bracket && (text[end] == '!' || text[end] == ':')) break;
    }
    Value value = look_up(text.substr(0, end));
    std::string_view rest = text.substr(end);
    if (!rest.empty() && rest[0] == '!') {
      const char how = rest.size() > 1 ? rest[1] : '\0';
      if (how != 's' && how != 'r' && how != 'a') fail("unknown conversion specifier in a format string");
      std::string converted;
      if (how == 's')
        append_str(runtime_, converted, value);
      else
        append_repr(runtime_, converted, value);
      value = runtime_.str(std::move(converted));
      rest = rest.substr(2);
      if (!rest.empty() && rest[0] != ':') fail("expected ':' after conversion specifier");
    }
    return format_value(runtime_, value, rest.empty() ? "" : run(rest.substr(1), depth - 1));
  }

  static std::optional<int64_t> number(std::string_view text) {
    if (text.empty() || text.size() > 17 || text.find_first_not_of("0123456789") != std::string_view::npos) return {};
    return std::stoll(std::string(text));
  }

  Value argument(std::string_view name) {
    if (name.empty() || number(name)) {
      if (name.empty() == manual_ && numbered_) fail("cannot switch between automatic and manual field numbering");
      numbered_ = true;
      manual_ = !name.empty();
      const auto index = static_cast<size_t>(name.empty() ? next_++ : *number(name));
      if (index >= args_.size()) fail("replacement index {} out of range for positional args tuple", index);
      return args_[index];
    }
    const Value* found = named_.is(Kind::kDict) ? named_.as<Dict>().find(name) : nullptr;
    if (!found) fail("no argument {} for the format string", str_repr(name));
    return *found;
  }

  Value look_up(std::string_view path) {
    size_t at = std::min(path.find_first_of(".["), path.size());
    Value value = argument(path.substr(0, at));
    while (at < path.size()) {
      if (path[at] == '.') {
        const size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        value = get_attribute(runtime_, value, path.substr(at + 1, end - at - 1));
        at = end;
      } else {
        const size_t end = path.find(']', at);
        if (path[at] != '[' || end == std::string_view::npos) fail("missing ']' in format string");
        const auto key = path.substr(at + 1, end - at - 1);
        if (key.empty()) fail("empty attribute in format string");
        value = get_item(runtime_, value, number(key) ? Value(*number(key)) : make_str(std::string(key)));
        at = end + 1;
      }
    }
    return value;
  }

  Runtime& runtime_;
  const std::vector<Value>& args_;
  const Value& named_;
  int64_t next_ = 0;
  bool numbered_ = false, manual_ = false;
};

}  // namespace

std::string brace_format(Runtime& runtime, std::string_view format, const std::vector<Value>& args,
                         const Value& named) {
  return BraceFormatter(runtime, args, named).run(format);
}

}  // namespace automodel::tokenizer::jinja
