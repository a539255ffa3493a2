// The losses that fill the head's slot, by name.
#pragma once

#include <string>
#include <vector>

#include "automodel/kernels/cross_entropy/linear_cross_entropy.h"

namespace automodel::loss {

struct LossOptions {
  std::string name = "cross_entropy";
  double logit_softcapping = 0;  // overrides the model's own when > 0
  double label_smoothing = 0;
  double z_loss = 0;
  int64_t chunk_tokens = 0;  // tokens whose logits exist at a time; 0: chosen
};

/// (hidden [T, H], weight, bias or null, labels [T], scale, what the head does to logits) -> 0-dim loss.
using Loss = std::function<at::Tensor(const at::Tensor&, Parameter&, Parameter*, const at::Tensor&, double,
                                      const kernels::CrossEntropyOptions&)>;

/// Throws ConfigError naming the losses known.
Loss make_loss(const LossOptions& options);

std::vector<std::string> loss_names();

}  // namespace automodel::loss
