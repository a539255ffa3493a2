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
  bool center = false;      // LayerNorm
  int64_t row_padding = 0;  // spare elements behind each row of y (linear/padded.h), for [rows, D]
};

struct AddNorm {
  at::Tensor h, y;  // x + residual, and its norm
};

/// Whether the kernels take it: a CUDA tensor of fp32, bf16 or fp16 with parameters of the same dtype and device.
bool has_norm_gpu(const at::Tensor& x, const NormSettings& norm);

/// Tensors [rows, D] may have gaps between rows; a gradient has the padding of what it is the gradient of.

/// y of h = x. Differentiable; keeps x and two numbers a row. x [..., D].
at::Tensor norm_gpu(const at::Tensor& x, const NormSettings& norm);

/// h = x + residual and its norm in one pass over both. Differentiable; keeps h. x, residual [..., D], same dtype.
AddNorm add_norm_gpu(const at::Tensor& x, const at::Tensor& residual, const NormSettings& norm);

/// h = x itself, for a residual stream that goes on beside its norm: the gradient that reaches h is added in the norm's
/// own backward. Differentiable, keeps x.
AddNorm pass_norm_gpu(const at::Tensor& x, const NormSettings& norm);

}  // namespace automodel::kernels
