#include "automodel/config/names.h"

#include "automodel/base/text.h"

namespace automodel::config {

static std::vector<std::string> spellings(const NameRow& row) {
  std::vector<std::string> all;
  if (!row.native.empty()) all.emplace_back(row.native);
  for (std::string name : split(row.names, ' ')) {
    if (name.empty()) continue;
    if (name[0] == '@') name = "nemo_automodel.components." + name.substr(1);
    if (name[0] == '$') name = "nemo_automodel." + name.substr(1);
    all.push_back(name);
  }
  return all;
}

const NameRow* find_name(std::string_view role, std::string_view name) {
  for (const NameRow& row : name_table()) {
    if (row.role != role) continue;
    for (const std::string& spelling : spellings(row)) {
      if (spelling == name) return &row;
    }
  }
  return nullptr;
}

std::vector<std::string> names_of_role(std::string_view role) {
  std::vector<std::string> native, other;
  for (const NameRow& row : name_table()) {
    if (row.role != role) continue;
    for (const std::string& name : spellings(row)) (name == row.native ? native : other).push_back(name);
  }
  native.insert(native.end(), other.begin(), other.end());
  return native;
}

}  // namespace automodel::config
