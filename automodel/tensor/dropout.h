// Dropout whose mask is a pure function of a key, so that a recomputation draws the same one and nothing has to be
// saved.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/base/random.h"

namespace automodel {

/// Which elements of a tensor are dropped, as a plain value that a backward can keep: element i is if word i % 4 of
/// Philox-4x32-10(key, counter i / 4) is below p 2^32.
struct DropoutMask {
  double p = 0;  // 0: none
  uint64_t key = 0;
};
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
