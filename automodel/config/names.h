// The closed table of names that a YAML file may give in `recipe`, `_target_` and `*_fn`. Nothing is imported or run: a
// name either stands here, with what it means in this program, or it is an error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "automodel/config/key_class.h"

namespace automodel::config {

/// One name. `names` are its spellings, parted by spaces, in which '@' stands for nemo_automodel.components. and '$'
/// for nemo_automodel. ; the native spelling is accepted too.
struct NameRow {
  std::string_view role;    ///< of which key: recipe, model, dataset, optimizer, loss_fn, collate_fn, ...
  std::string_view native;  ///< the name within this program
  std::string_view names;
  KeyClass key_class;
  std::string_view keys;  ///< the only keys that may stand beside it, parted by spaces; "" leaves it to the section
  std::string_view note;
};

const std::vector<NameRow>& name_table();

/// The row of a name in a role, or nullptr.
const NameRow* find_name(std::string_view role, std::string_view name);

/// Every spelling in a role, native ones first.
std::vector<std::string> names_of_role(std::string_view role);

}  // namespace automodel::config
