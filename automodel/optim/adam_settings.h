// What Adam is told: the `optimizer:` section, and the dtypes that follow from it for a weight (adam.h explains them).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "automodel/config/optimizer_section.h"
#include "automodel/kernels/optimizer/optimizer_gpu.h"
#include "automodel/tensor/parameter.h"

namespace automodel::optim {

using kernels::cuda::Master;

/// The `optimizer:` section as this room needs it; lr and weight_decay are handed to every step.
struct AdamSettings {
  bool decoupled = true;  // AdamW; false: Adam, whose weight decay is added to the gradient
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  bool amsgrad = false;
  bool maximize = false;
  at::ScalarType state_dtype = at::kFloat;   // of m and v
  std::optional<Master> master_weights;      // none: Full if state_dtype is fp32. Only for weights of less than fp32
  std::optional<at::ScalarType> grad_dtype;  // none: see gradient_dtype
  /// The pattern is a regular expression (ECMAScript) searched for anywhere in a Hugging Face name; the first that
  /// matches holds.
  std::vector<config::ParamGroupOverride> param_group_overrides;
  uint64_t seed = 0;  // of Master::Stochastic
};

/// Throws UnsupportedError for another update rule or without bias correction, ConfigError for unknown words.
AdamSettings make_adam_settings(const config::OptimizerSection& section, uint64_t seed = 0);

/// What a weight keeps of its fp32 value; None for weights that are in fp32 or more themselves.
Master master_of(at::ScalarType weight, const AdamSettings& settings);

/// The dtype of a weight's moments: float64 for weights in it.
at::ScalarType state_dtype(at::ScalarType weight, const AdamSettings& settings);

/// The dtype in which a weight's gradient is summed. Throws ConfigError where it is neither fp32 nor the weight's own.
at::ScalarType gradient_dtype(at::ScalarType weight, const AdamSettings& settings);

/// A warning where the settings ask for split or stochastic masters and no trained weight can have one; "" else. NeMo
/// AutoModel's recipes name masters by habit: no fault, but the user should not count on them.
std::string idle_masters(const std::vector<ParameterPtr>& trained, const AdamSettings& settings);

}  // namespace automodel::optim
