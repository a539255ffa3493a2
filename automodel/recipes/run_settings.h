// What of a configuration takes more than its own types to judge, made or tried before weights, data or a network are
// touched: so that `check` finds it, and a run before it writes anything.
#pragma once

#include <vector>

#include "automodel/config/recipe_config.h"
#include "automodel/optim/adam.h"
#include "automodel/optim/lr_schedule.h"
#include "automodel/optim/step_guard.h"

namespace automodel::recipes {

/// The numbers of step_scheduler.preemption_signal. Throws ConfigError for a name that is none.
std::vector<int> preemption_signals(const config::StepSchedulerSection& section);

/// The learning rates of a run of `steps` steps.
optim::LrSchedule make_schedule(const config::RecipeConfig& config, int64_t steps);

/// The loss scale and what is done about gradients that are not finite, for a model in `dtype`. Throws ConfigError.
optim::StepGuard make_step_guard(const config::RecipeConfig& config, at::ScalarType dtype, at::Device device);

/// The optimizer of a run's trained parameters; warns of settings that change nothing for them.
optim::Adam make_optimizer(const config::RecipeConfig& config, const std::vector<ParameterPtr>& trained);

/// Throws ConfigError or UnsupportedError, as the run would: schedule, optimizer, signals, splits; and try_model() for
/// a model that needs neither Hub nor folder (known_model_of()).
void try_settings(const config::RecipeConfig& config);

/// The same for what needs the model's config.json: adapters, dtypes, groups of parameters. The model must lie on this
/// machine.
void try_model(const config::RecipeConfig& config);

}  // namespace automodel::recipes
