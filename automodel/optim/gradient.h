// The gradients of all parameters taken together: their norm, the check that they are finite, and clipping.
#pragma once

#include <cstdint>
#include <vector>

#include "automodel/tensor/parameter.h"

namespace automodel::optim {

/// The trainable parameters in their order, each once (a tied weight is listed by every user of it).
std::vector<ParameterPtr> distinct_trainable(const std::vector<ParameterPtr>& parameters);

/// What the gradients of a step amount to, on their device; there it may not be computed yet.
struct GradientNorm {
  std::vector<ParameterPtr> parameters;  // those with a gradient
  at::Tensor total;                      // sqrt(sum g^2), 0-dim fp64, before clipping
  // On a GPU, as the optimizer's kernel takes them (kernels/optimizer): what to do with the gradients, and the square
  // sums of their pieces, which tell which of them went wrong.
  at::Tensor stats, partial;
};

/// The norm over the gradients of distinct_trainable(parameters), which may be of any float dtype; 0 without gradients.
/// Squares are summed in fp64, on the CPU over fixed blocks whose sums are added in order: the same bits for any number
/// of threads. Then all gradients are multiplied by clip_factor: on the CPU in place, on a GPU by the update, which
/// finds the factor in `stats`. max_norm <= 0 clips nothing, and a norm that is not finite changes no gradient. Waits
/// for no GPU. Where the gradients are `loss_scale` (0-dim fp32 on their device) times what they stand for, the norm
/// is that of what they stand for, and they are divided by it on the same way.
GradientNorm clip_gradients(const std::vector<ParameterPtr>& parameters, double max_norm,
                            const at::Tensor& loss_scale = {});

/// The total as a number; waits for the GPU once. Throws NumericError naming `step` and the first tensor whose gradient
/// is not finite.
double read_norm(const GradientNorm& norm, int64_t step);

/// min(1, max_norm / (norm + 1e-6)): torch.nn.utils.clip_grad_norm_'s factor. REQUIRES max_norm > 0.
double clip_factor(double norm, double max_norm);

}  // namespace automodel::optim
