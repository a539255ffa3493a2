// Fills the typed sections from a tree.
#pragma once

#include <vector>

#include "automodel/config/check_tree.h"
#include "automodel/config/recipe_config.h"
#include "automodel/config/value.h"

namespace automodel::config {

/// Reads every knob that the tree has into `config` and works out the fields that depend on several keys: the model's
/// path, overrides of config.json, optimizer state dtypes, the native kinds. Mistakes between keys are added to
/// `faults`; keys with faults of their own are left at their defaults.
void fill_config(const Value& root, RecipeConfig& config, std::vector<Fault>& faults);

}  // namespace automodel::config
