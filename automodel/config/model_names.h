// The keys by which a recipe names its model, of which one must do.
#pragma once

#include <string>
#include <vector>

#include "automodel/config/overrides.h"
#include "automodel/config/value.h"

namespace automodel::config {

/// The model with its weights.
inline constexpr const char* kModelPath = "model.pretrained_model_name_or_path";
/// What AutoConfig reads: the architecture, with random weights.
inline constexpr const char* kModelConfigs[] = {"model.config", "model.config.pretrained_model_name_or_path",
                                                "model.config.name_or_path"};

struct ModelName {
  std::string key;
  const Value* value;  ///< a string
};

/// Those that stand in the tree, kModelPath first.
std::vector<ModelName> find_model_names(const Value& root);

/// A model that the command line names takes the place of the file's, by whichever of the keys: erases the others, if
/// only one was typed. The overrides have been applied.
void drop_replaced_names(Value& root, const std::vector<Override>& overrides);

}  // namespace automodel::config
