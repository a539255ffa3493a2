#include "automodel/config/overrides.h"

#include <fmt/format.h>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/config/interpolate.h"
#include "automodel/config/model_names.h"

namespace automodel::config {

std::vector<Override> parse_overrides(const std::vector<std::string>& arguments) {
  std::vector<Override> overrides;
  for (size_t k = 0; k < arguments.size(); ++k) {
    const std::string& argument = arguments[k];
    if (!argument.starts_with("--") || argument.size() == 2) {
      throw ConfigError(argument, "this argument belongs to no key", "overrides are written --section.key value");
    }
    Override made;
    size_t equals = argument.find('=');
    made.path = argument.substr(2, equals == std::string::npos ? std::string::npos : equals - 2);
    if (equals != std::string::npos) {
      made.text = argument.substr(equals + 1);
    } else if (k + 1 < arguments.size() && !arguments[k + 1].starts_with("--")) {
      made.text = arguments[++k];
    } else {
      made.bare = true;
    }
    for (const std::string& part : split(made.path, '.')) {
      if (part.empty()) throw ConfigError("--" + made.path, "a part of the key is empty");
    }
    overrides.push_back(std::move(made));
  }
  return overrides;
}

static void apply_override(Value& root, const Override& override, const Environment& environment) {
  Value* node = &root;
  std::vector<std::string> parts = split(override.path, '.');
  if (parts.size() > kMaxDepth) throw ConfigError("--" + override.path, "too many parts");
  for (size_t k = 0; k < parts.size(); ++k) {
    if (node->is_null()) node->kind = Value::Kind::kMap;
    if (!node->is_map()) {
      std::vector<std::string> head(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(k));
      throw ConfigError("--" + override.path,
                        fmt::format("{} is {}, not a mapping", join(head, "."), kind_name(node->kind)),
                        node->is_list() ? "lists cannot be indexed: give the whole list" : "");
    }
    if (!node->find(parts[k])) node->entries.push_back({parts[k], {}, {}});
    node = node->find(parts[k]);
  }
  Value value = override.bare ? Value::of(true) : Value::of(override.text);
  if (!override.bare && parts.back() != "_target_" && !parts.back().ends_with("_fn"))
    resolve_string(value, environment);
  *node = value;
  // The key's own place moves to the command line, so that messages name it there.
  Value* parent = &root;
  for (size_t k = 0; k + 1 < parts.size(); ++k) parent = parent->find(parts[k]);
  for (Entry& entry : parent->entries) {
    if (entry.key == parts.back()) entry.place = {};
  }
}

void apply_overrides(Value& root, const std::vector<Override>& overrides, const Environment& environment) {
  for (const Override& override : overrides) apply_override(root, override, environment);
  drop_replaced_names(root, overrides);
}

}  // namespace automodel::config
