// Fine-tuning and pre-training on one process: the whole run, from the configuration to the saved model.
#pragma once

#include "automodel/config/recipe_config.h"

namespace automodel::recipes {

struct RunResult {
  int64_t steps = 0;       // made by this process
  int stopped_by = 0;      // the signal that ended the run early, 0: it ran to its end
  std::string checkpoint;  // the last one saved, or ""
};

/// Trains as the configuration says; progress goes to standard error and to the run's folder. Throws what its rooms
/// throw; whatever is thrown, the checkpoints published before are whole.
RunResult finetune(const config::RecipeConfig& config);

}  // namespace automodel::recipes
