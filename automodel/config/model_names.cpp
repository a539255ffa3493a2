#include "automodel/config/model_names.h"

#include <algorithm>

namespace automodel::config {

std::vector<ModelName> find_model_names(const Value& root) {
  std::vector<ModelName> names;
  const auto look_at = [&](const char* key) {
    if (const Value* value = root.at_path(key); value && value->is_string()) names.push_back({key, value});
  };
  look_at(kModelPath);
  for (const char* key : kModelConfigs) look_at(key);
  return names;
}

static void erase(Value& root, const std::string& path) {
  const size_t dot = path.rfind('.');
  Value* section = &root;
  for (size_t begin = 0; begin < dot && section;) {
    const size_t end = path.find('.', begin);
    section = section->find(path.substr(begin, end - begin));
    begin = end + 1;
  }
  if (section) std::erase_if(section->entries, [&](const Entry& entry) { return entry.key == path.substr(dot + 1); });
}

void drop_replaced_names(Value& root, const std::vector<Override>& overrides) {
  const auto typed = [&](const std::string& key) {
    return std::any_of(overrides.begin(), overrides.end(), [&](const Override& each) {
      return each.path == key || key.starts_with(each.path + ".");  // a mapping typed whole
    });
  };
  std::vector<std::string> replaced;
  size_t kept = 0;
  for (const ModelName& name : find_model_names(root))
    if (typed(name.key))
      ++kept;
    else
      replaced.push_back(name.key);
  if (kept != 1) return;
  for (const auto& key : replaced) erase(root, key);
}

}  // namespace automodel::config
