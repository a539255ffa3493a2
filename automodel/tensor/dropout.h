// Dropout whose mask is a pure function of a key, so that a recomputation draws the same one and nothing has to be
// saved.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/base/random.h"

namespace automodel {

/// Which elements of a tensor are dropped, as a plain value that a backward can keep: with the eight 16-bit halves of
/// Philox-4x32-10(key, counter i / 8), lower ones first, element i is if half i % 8 is below p 2^16.
struct DropoutMask {
  double p = 0;  // a multiple of 2^-16; 0: none
  uint64_t key = 0;

  uint32_t threshold() const { return static_cast<uint32_t>(p * 65536); }
  float kept() const { return p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0f; }  // the factor of what stays
};
/// p is rounded to a multiple of 2^-16: half as many random words, which are what dropout in passing costs on a GPU.
DropoutMask dropout_mask(double p, RandomKey key);

/// x * m / (1 - p) with m = 0 where the mask drops and 1 elsewhere; x itself when p is 0. Not differentiated. The same
/// on every device: without set_gpu_dropout() the mask of a GPU is made on the CPU and copied.
at::Tensor drop(const at::Tensor& x, const DropoutMask& mask);

/// drop() with the mask of (p, key), differentiated: the mask is computed again in the backward.
at::Tensor dropout(const at::Tensor& x, double p, RandomKey key);

/// How a GPU computes drop(), for fp32, bf16 and fp16; who has kernels tells it here, once.
using GpuDropout = at::Tensor (*)(const at::Tensor& x, const DropoutMask& mask);
void set_gpu_dropout(GpuDropout compute);

}  // namespace automodel
