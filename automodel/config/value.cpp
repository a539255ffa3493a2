#include "automodel/config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "automodel/config/python_literal.h"
#include "automodel/config/yaml_scalar.h"

namespace automodel::config {

Value Value::of(bool value) {
  Value made;
  made.kind = Kind::kBool;
  made.boolean = value;
  made.text = value ? "true" : "false";
  return made;
}

Value Value::of(int64_t value) {
  Value made;
  made.kind = Kind::kInt;
  made.integer = value;
  made.text = fmt::to_string(value);
  return made;
}

Value Value::of(double value) {
  Value made;
  made.kind = Kind::kFloat;
  made.number = value;
  if (std::isnan(value)) {
    made.text = ".nan";
  } else if (std::isinf(value)) {
    made.text = value > 0 ? ".inf" : "-.inf";
  } else {
    made.text = fmt::format("{}", value);
    if (made.text.find_first_of(".en") == std::string::npos) made.text += ".0";
  }
  return made;
}

Value Value::of(std::string value) {
  Value made;
  made.kind = Kind::kString;
  made.text = std::move(value);
  return made;
}

Value Value::list(std::vector<Value> items) {
  Value made;
  made.kind = Kind::kList;
  made.items = std::move(items);
  return made;
}

const Value* Value::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

Value* Value::find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).find(key)); }

const Value* Value::at_path(std::string_view path) const {
  const Value* node = this;
  while (node && !path.empty()) {
    size_t dot = path.find('.');
    std::string_view part = path.substr(0, dot);
    size_t open = part.find('[');
    node = node->find(part.substr(0, open));
    if (node && open != std::string_view::npos) {
      size_t index = 0;
      std::from_chars(part.data() + open + 1, part.data() + part.size(), index);
      node = index < node->items.size() ? &node->items[index] : nullptr;
    }
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return node;
}

std::string_view kind_name(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNull:
      return "None";
    case Value::Kind::kBool:
      return "a bool";
    case Value::Kind::kInt:
      return "an integer";
    case Value::Kind::kFloat:
      return "a float";
    case Value::Kind::kString:
      return "a string";
    case Value::Kind::kList:
      return "a list";
    case Value::Kind::kMap:
      return "a mapping";
  }
  return "?";
}

static std::string json_quote(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A string is written plainly when reading gives the same string; else in double quotes; and where even that would be
// read as another Python value ("12"), as a quoted Python literal within.
static std::string string_to_yaml(const std::string& text) {
  static constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@`";
  bool plain = !text.empty() && text.size() < 200 && kIndicators.find(text[0]) == std::string_view::npos &&
               text.back() != ':' && text.find(": ") == std::string::npos && text.find(" #") == std::string::npos &&
               text.find_first_of(",[]{}\"$") == std::string::npos && text.front() != ' ' && text.back() != ' ' &&
               std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
  if (plain && text[0] != '=' && resolve_plain_scalar(text).is_string() && translate_value(text).is_string() &&
      translate_value(text).text == text) {
    return text;
  }
  Value back = translate_value(text);
  return back.is_string() && back.text == text ? json_quote(text) : json_quote(python_repr(text));
}

// Keys are words: nothing is made of them when they are read.
static std::string key_to_yaml(const std::string& key) {
  bool plain =
      !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
  return plain ? key : json_quote(key);
}

std::string to_yaml(const Value& value) {
  if (!value.written.empty()) return json_quote(value.written);
  switch (value.kind) {
    case Value::Kind::kNull:
      return "null";
    case Value::Kind::kBool:
      return value.boolean ? "true" : "false";
    case Value::Kind::kInt:
      return fmt::to_string(value.integer);
    case Value::Kind::kFloat:
      return Value::of(value.number).text;
    case Value::Kind::kString:
      return string_to_yaml(value.text);
    case Value::Kind::kList: {
      std::string text = "[";
      for (const Value& item : value.items) text += (text.size() > 1 ? ", " : "") + to_yaml(item);
      return text + "]";
    }
    case Value::Kind::kMap: {
      std::string text = "{";
      for (const Entry& entry : value.entries) {
        text += fmt::format("{}{}: {}", text.size() > 1 ? ", " : "", key_to_yaml(entry.key),
                            to_printable(entry.key, entry.value));
      }
      return text + "}";
    }
  }
  return "null";
}

bool is_secret_key(std::string_view key) {
  std::string lower(key.substr(key.rfind('.') + 1));
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (std::string_view part : {"password", "passwd", "secret", "apikey", "api_key", "credential"}) {
    if (lower.find(part) != std::string::npos) return true;
  }
  for (std::string_view word : {"token", "auth", "wandb_key"}) {  // whole words of the name only
    for (size_t at = lower.find(word); at != std::string::npos; at = lower.find(word, at + 1)) {
      size_t end = at + word.size();
      if ((at == 0 || !std::isalnum(static_cast<unsigned char>(lower[at - 1]))) &&
          (end == lower.size() || !std::isalnum(static_cast<unsigned char>(lower[end])))) {
        return lower.find("token_id") == std::string::npos && !lower.starts_with("add_") &&
               lower.find("token_start") == std::string::npos && lower.find("token_loss") == std::string::npos &&
               lower != "bos_token" && lower != "eos_token" && lower != "pad_token";
      }
    }
  }
  return false;
}

std::string to_printable(std::string_view key, const Value& value) {
  if (is_secret_key(key) && !value.is_null() && value.written.empty()) return "'***'";
  return to_yaml(value);
}

}  // namespace automodel::config
