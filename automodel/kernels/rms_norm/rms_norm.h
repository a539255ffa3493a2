// Root mean square norm.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/kernels/rms_norm/norm_gpu.h"
#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// y = x / sqrt(mean(x^2, last dim) + eps) * w,   w = weight, or 1 + weight where the family stores the difference to
/// one
///
/// x       [..., D]  float dtype, contiguous
/// weight  [D]       dtype of x
/// returns [..., D]  dtype of x; the mean is taken in fp32
/// source  Zhang and Sennrich 2019; LlamaRMSNorm (rounds before the product with w), Gemma3RMSNorm (plus_one: rounds
/// after it)
at::Tensor rms_norm(const at::Tensor& x, Parameter& weight, double eps, bool plus_one = false);

/// h = x, y = rms_norm(h), for a residual stream that goes on beside its norm; on a GPU the gradient of h is added in
/// the norm's backward, and y has `padding` spare elements behind each row (linear/padded.h).
PassNorm pass_rms_norm(const at::Tensor& x, Parameter& weight, double eps, bool plus_one = false, int64_t padding = 0);

/// The same by plain tensor operations: what rms_norm means, and what runs where no fused version exists.
at::Tensor rms_norm_reference(const at::Tensor& x, Parameter& weight, double eps, bool plus_one = false);

}  // namespace automodel::kernels
