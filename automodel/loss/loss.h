// The losses that fill the head's slot, by name.
#pragma once

#include <string>
#include <vector>

#include "automodel/kernels/cross_entropy/linear_cross_entropy.h"

namespace automodel::loss {

struct LossOptions {
  std::string name = "cross_entropy";
  double logit_softcapping = 0;  // overrides the model's own when > 0
  at::Tensor gradient_scale;     // 0-dim fp32 on the model's device, read at every call: a factor on the gradients
};

/// Throws ConfigError naming the losses known.
kernels::HeadLoss make_loss(const LossOptions& options);

std::vector<std::string> loss_names();

}  // namespace automodel::loss
