#include "automodel/optim/adam_settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/random.h"
#include "automodel/tensor/dtype.h"

namespace automodel::optim {

static std::optional<Master> parse_master(const std::string& word) {
  if (word == "true") return Master::Full;
  if (word == "split") return Master::Split;
  if (word == "stochastic") return Master::Stochastic;
  if (word == "false") return Master::None;
  if (word == "auto") return std::nullopt;
  throw ConfigError("optimizer.master_weights",
                    fmt::format("is '{}', expected auto, true, split, stochastic or false", word));
}

AdamSettings make_adam_settings(const config::OptimizerSection& section, uint64_t seed) {
  if (section.kind != "adam" && section.kind != "adamw")
    throw UnsupportedError("optimizer._target_", fmt::format("'{}' is not built in; adam and adamw are", section.kind));
  if (!section.bias_correction)
    throw UnsupportedError("optimizer.bias_correction", "false is not built in", "leave it out");
  AdamSettings settings;
  settings.decoupled = section.kind == "adamw";
  settings.beta1 = section.betas[0];
  settings.beta2 = section.betas[1];
  settings.eps = section.eps;
  settings.amsgrad = section.amsgrad;
  const auto dtype = parse_dtype(section.state_dtype);
  if (dtype != at::kFloat && dtype != at::kBFloat16)
    throw ConfigError("optimizer.state_dtype",
                      fmt::format("is '{}', expected float32 or bfloat16", section.state_dtype));
  settings.state_dtype = *dtype;
  settings.master_weights = parse_master(section.master_weights);
  settings.seed = RandomKey{seed, 0x6164616dull}.value();  // of no other use of the run's seed
  if (section.grad_dtype != "auto") {
    settings.grad_dtype = parse_dtype(section.grad_dtype);
    if (!settings.grad_dtype)
      throw ConfigError("optimizer.grad_dtype",
                        fmt::format("is '{}', expected auto, float32 or the weights' dtype", section.grad_dtype));
  }
  settings.param_group_overrides = section.param_group_overrides;
  return settings;
}

Master master_of(at::ScalarType weight, const AdamSettings& settings) {
  if (c10::elementSize(weight) >= 4) return Master::None;
  return settings.master_weights.value_or(settings.state_dtype == at::kFloat ? Master::Full : Master::None);
}

static bool keeps_master(at::ScalarType weight, const AdamSettings& settings) {
  const auto master = master_of(weight, settings);
  return master == Master::Full || master == Master::Split;
}

at::ScalarType state_dtype(at::ScalarType weight, const AdamSettings& settings) {
  return weight == at::kDouble ? weight : settings.state_dtype;
}

at::ScalarType gradient_dtype(at::ScalarType weight, const AdamSettings& settings) {
  if (!settings.grad_dtype && weight == at::kDouble) return weight;
  if (!settings.grad_dtype)
    return weight == settings.state_dtype && !keeps_master(weight, settings) ? weight : at::kFloat;
  if (*settings.grad_dtype != at::kFloat && *settings.grad_dtype != weight)
    throw ConfigError("optimizer.grad_dtype",
                      fmt::format("is {}, and a weight is in {}", dtype_name(*settings.grad_dtype), dtype_name(weight)),
                      "gradients are summed in float32 or in the weight's own dtype");
  return *settings.grad_dtype;
}

std::string idle_masters(const std::vector<ParameterPtr>& trained, const AdamSettings& settings) {
  const bool split = settings.master_weights == Master::Split;
  const auto can_have = [](const ParameterPtr& parameter) { return c10::elementSize(parameter->dtype()) < 4; };
  if ((!split && settings.master_weights != Master::Stochastic) ||
      std::any_of(trained.begin(), trained.end(), can_have))
    return "";
  return fmt::format("optimizer.master_weights: {} changes nothing: all trained weights are in float32 themselves",
                     split ? "split" : "stochastic");
}

}  // namespace automodel::optim
