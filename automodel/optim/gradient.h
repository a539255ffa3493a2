// The gradients of all parameters taken together: their norm, the check that they are finite, and clipping.
#pragma once

#include <cstdint>
#include <vector>

#include "automodel/tensor/parameter.h"

namespace automodel::optim {

/// The trainable parameters in their order, each once (a tied weight is listed by every user of it).
std::vector<ParameterPtr> distinct_trainable(const std::vector<ParameterPtr>& parameters);

/// sqrt(sum g^2) over the gradients of distinct_trainable(parameters), which may be of any float dtype; 0 without
/// gradients. Squares are summed in fp64, on the CPU over fixed blocks whose sums are added in order: the same bits for
/// any number of threads. On a GPU it waits for the stream once. Throws NumericError if any gradient is not finite,
/// naming `step` and the first such tensor; nothing is changed then.
double gradient_norm(const std::vector<ParameterPtr>& parameters, int64_t step);

/// The same norm left on the GPU, with the clipping factor and whether it is finite, for Adam::step: nobody waits. Read
/// it a step later (kernels::read_stats). All gradients on one GPU, at least one. max_norm <= 0: a factor of 1.
at::Tensor gradient_stats(const std::vector<ParameterPtr>& parameters, double max_norm);

/// min(1, max_norm / (norm + 1e-6)): torch.nn.utils.clip_grad_norm_'s factor. REQUIRES max_norm > 0.
double clip_factor(double norm, double max_norm);

/// Multiplies all gradients in place; a factor of 1 touches nothing.
void scale_gradients(const std::vector<ParameterPtr>& parameters, double factor);

/// gradient_norm, then scale_gradients by clip_factor; returns the norm before clipping. max_norm <= 0 clips nothing.
double clip_gradients(const std::vector<ParameterPtr>& parameters, double max_norm, int64_t step);

}  // namespace automodel::optim
