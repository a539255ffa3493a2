#include "automodel/config/interpolate.h"

#include <cctype>
#include <cstdlib>

#include "automodel/base/text.h"
#include "automodel/config/python_literal.h"

namespace automodel::config {

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
}

namespace {

bool starts_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// One reference: its extent in the text, the variable, and the default if there is one.
struct Reference {
  size_t begin, end;
  std::string name;
  std::optional<std::string> fallback;
};

std::optional<Reference> braced(std::string_view text, size_t at) {
  size_t close = text.find('}', at);
  if (close == std::string_view::npos) return std::nullopt;
  std::string_view body = text.substr(at + 2, close - at - 2);
  Reference found{at, close + 1, "", std::nullopt};
  if (size_t comma = body.find(','); comma != std::string_view::npos) {
    found.fallback = std::string(trim(body.substr(comma + 1)));
    body = body.substr(0, comma);
  }
  body = trim(body);
  if (body.starts_with("oc.env:")) body = trim(body.substr(7));
  if (body.empty() || !starts_name(body[0])) return std::nullopt;
  for (char c : body) {
    if (!in_name(c) && c != '.') return std::nullopt;
  }
  found.name = body;
  return found;
}

std::optional<Reference> next_reference(std::string_view text, size_t from) {
  for (size_t at = text.find('$', from); at != std::string_view::npos; at = text.find('$', at + 1)) {
    if (at + 1 >= text.size()) return std::nullopt;
    if (text[at + 1] == '{') {
      if (auto found = braced(text, at)) return found;
    } else if (starts_name(text[at + 1])) {
      size_t end = at + 1;
      while (end < text.size() && in_name(text[end])) ++end;
      return Reference{at, end, std::string(text.substr(at + 1, end - at - 1)), std::nullopt};
    }
  }
  return std::nullopt;
}

}  // namespace

void resolve_string(Value& value, const Environment& environment) {
  std::string resolved;
  size_t at = 0;
  bool any = false;
  while (auto found = next_reference(value.text, at)) {
    any = true;
    std::optional<std::string> content = environment(found->name);
    if (!content) content = found->fallback;
    if (!content) {
      value.missing = found->name;
      return;
    }
    resolved += value.text.substr(at, found->begin - at) + *content;
    at = found->end;
  }
  std::string written = any ? value.text : "";
  Value typed = translate_value(any ? resolved + value.text.substr(at) : value.text);
  typed.place = value.place;
  typed.quoted = value.quoted;
  typed.anchor_used = value.anchor_used;
  typed.written = written;
  value = std::move(typed);
}

}  // namespace automodel::config
