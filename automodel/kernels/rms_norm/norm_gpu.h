// Both norms on a GPU: what rms_norm and layer_norm call for CUDA tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

class CudaLaunch;  // cuda/library.h

/// y = (h - m) * rstd * (weight + (plus_one ? 1 : 0)) + bias, with m = mean(h) if center, else 0 (norm_cuda.h).
struct NormSettings {
  Parameter* weight;
  Parameter* bias = nullptr;  // LayerNorm's, may be null
  double eps = 1e-6;
  bool plus_one = false;
  bool center = false;      // LayerNorm
  int64_t row_padding = 0;  // spare elements behind each row of y (linear/padded.h), for [rows, D]
};

/// A residual stream that goes on beside its norm.
struct PassNorm {
  at::Tensor h, y;  // the stream itself, and its norm
};

/// Adds the sums over rows of `partial`, fp32 [rows, columns], to the gradient of a parameter [columns]; nothing where
/// `partial` is undefined. The sums' order is fixed.
void add_column_sums(const CudaLaunch& on, Parameter* parameter, const at::Tensor& partial);

/// Whether the kernels take it: a CUDA tensor of fp32, bf16 or fp16 with parameters of the same dtype and device.
bool has_norm_gpu(const at::Tensor& x, const NormSettings& norm);

/// Tensors [rows, D] may have gaps between rows; a gradient has the padding of what it is the gradient of.

/// y of h = x. Differentiable; keeps x and two numbers a row. x [..., D].
at::Tensor norm_gpu(const at::Tensor& x, const NormSettings& norm);

/// h = x itself: the gradient that reaches h on its own way is added in the norm's backward. Differentiable, keeps x.
PassNorm pass_norm_gpu(const at::Tensor& x, const NormSettings& norm);

}  // namespace automodel::kernels
