// y[t] = scale * W[ids[t]]
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// y[t] = scale * W[ids[t]]
///
/// ids     [T] int64, each in [0, V): the caller has checked them
/// weight  [V, H]
/// padding a row that gets no gradient (torch.nn.Embedding's padding_idx), -1: none
/// scale   multiplied in the weight's dtype, as transformers' scaled embeddings do
/// returns [T, H], dtype of the weight; it carries a gradient if the weight is trained.
/// Backward: dW[ids[t]] += scale * dy[t], summed in the parameter's grad_dtype in the order of t (deterministic).
at::Tensor embedding(const at::Tensor& ids, Parameter& weight, double scale = 1, int64_t padding = -1);

}  // namespace automodel::kernels
