// Which keys a recipe does not read, though they are known and another recipe obeys them.
#pragma once

#include <string>
#include <string_view>

#include "automodel/config/check_tree.h"

namespace automodel::config {

/// Why `recipe` does not read the key or section at `path`; "" if it does.
std::string_view unread_by(std::string_view recipe, std::string_view path);

/// Classes as inert what the recipe does not read; a section's keys follow it.
void classify_for_recipe(std::string_view recipe, Findings& findings);

}  // namespace automodel::config
