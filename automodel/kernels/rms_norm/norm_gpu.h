// Both norms on a GPU: what rms_norm and layer_norm call for CUDA tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// y = (h - m) * rstd * (weight + (plus_one ? 1 : 0)) + bias, with m = mean(h) if center, else 0 (norm_cuda.h).
struct NormSettings {
  Parameter* weight;
  Parameter* bias = nullptr;  // LayerNorm's, may be null
  double eps = 1e-6;
  bool plus_one = false;
  bool center = false;  // LayerNorm
};

struct AddNorm {
  at::Tensor h, y;  // x + residual, and its norm
};

/// Whether the kernels take it: a CUDA tensor of fp32, bf16 or fp16 with parameters of the same dtype and device.
bool has_norm_gpu(const at::Tensor& x, const NormSettings& norm);

/// y of h = x. Differentiable; keeps x and two numbers a row. x [..., D].
at::Tensor norm_gpu(const at::Tensor& x, const NormSettings& norm);

/// h = x + residual and its norm in one pass over both. Differentiable; keeps h. x, residual [..., D], same dtype.
AddNorm add_norm_gpu(const at::Tensor& x, const at::Tensor& residual, const NormSettings& norm);

}  // namespace automodel::kernels
