#include "automodel/recipes/run_settings.h"

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/signals.h"
#include "automodel/data/split_slice.h"
#include "automodel/recipes/model_setup.h"
#include "automodel/recipes/sample_length.h"
#include "automodel/recipes/token_data.h"

namespace automodel::recipes {

std::vector<int> preemption_signals(const config::StepSchedulerSection& section) {
  std::vector<int> signals;
  for (const auto& name : section.preemption_signal) {
    const auto signal = parse_signal(name);
    if (!signal)
      throw ConfigError("step_scheduler.preemption_signal",
                        fmt::format("'{}' is no signal; expected a name such as SIGUSR1, or a number", name));
    signals.push_back(*signal);
  }
  return signals;
}

optim::LrSchedule make_schedule(const config::RecipeConfig& config, int64_t steps) {
  const auto& [lr, decay] = std::pair(config.optimizer.lr, config.optimizer.weight_decay);
  return config.lr_scheduler ? optim::LrSchedule::make(*config.lr_scheduler, lr, decay, steps)
                             : optim::LrSchedule::fixed(lr, decay);
}

optim::StepGuard make_step_guard(const config::RecipeConfig& config, at::ScalarType dtype, at::Device device) {
  const auto non_finite =
      config.optimizer.non_finite_gradients == "skip" ? optim::NonFinite::Skip : optim::NonFinite::Stop;
  optim::StepGuard guard(config.grad_scaler, non_finite, dtype, device);
  if (guard.scale().defined() && optim::make_adam_settings(config.optimizer).grad_dtype == at::kHalf)
    throw ConfigError("optimizer.grad_dtype", "is float16, in which scaled gradients cannot be summed and unscaled",
                      "leave it out: float32");
  return guard;
}

optim::Adam make_optimizer(const config::RecipeConfig& config, const std::vector<ParameterPtr>& trained) {
  const auto settings = optim::make_adam_settings(config.optimizer, static_cast<uint64_t>(config.seed));
  if (const auto idle = optim::idle_masters(trained, settings); !idle.empty()) log_warning(idle);
  return optim::Adam(trained, settings);
}

static void try_split(const std::string& key, const config::DatasetSection& dataset) {
  if (is_token_data(dataset.kind)) return;  // there a split is three shares
  data::parse_split(dataset.split, key + ".split");
  for (const auto& source : dataset.sources)
    if (source.split) data::parse_split(*source.split, key + ".sources");
}

void try_settings(const config::RecipeConfig& config) {
  optim::make_adam_settings(config.optimizer);
  try_split("dataset", config.dataset);
  if (known_model_of(config, true)) try_model(config);
  if (config.recipe != "finetune") return;
  // Of a run whose length only its data tell, what depends on the length fits a long one.
  constexpr int64_t kLong = 1'000'000'000;
  make_schedule(config, config.step_scheduler.max_steps.value_or(kLong));
  preemption_signals(config.step_scheduler);
  for (const auto& set : config.validation_sets)
    try_split(set.name == "default" ? "validation_dataset" : "validation_dataset_" + set.name, set.dataset);
}

void try_model(const config::RecipeConfig& config) {
  TrainedModel loaded;
  loaded.folder = open_model_folder(config, net::ModelFiles::Config, true);
  check_lengths(config, loaded.folder.spec);
  loaded.model = models::build(loaded.folder.spec, loaded.folder.dtype);
  if (config.peft) peft::apply_lora(*loaded.model, make_lora_options(*config.peft));
  if (config.device == "cuda") refuse_float64(*loaded.model, at::kCUDA);  // what auto finds is for the run to see
  optim::Adam(loaded.trained_parameters(), optim::make_adam_settings(config.optimizer));
  make_step_guard(config, loaded.folder.dtype, at::kCPU);
}

}  // namespace automodel::recipes
