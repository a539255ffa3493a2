// Layer norm with weight and bias.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/kernels/rms_norm/norm_gpu.h"
#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, over the last dim, var without Bessel's correction
///
/// x [..., D] float dtype; weight, bias [D] dtype of x; returns [..., D], dtype of x; statistics in fp32.
/// source  Ba et al. 2016; torch.nn.LayerNorm
at::Tensor layer_norm(const at::Tensor& x, Parameter& weight, Parameter* bias, double eps);

/// h = x, y = layer_norm(h): as pass_rms_norm.
PassNorm pass_layer_norm(const at::Tensor& x, Parameter& weight, Parameter* bias, double eps, int64_t padding = 0);

}  // namespace automodel::kernels
