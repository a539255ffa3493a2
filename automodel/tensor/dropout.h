// Dropout whose mask is a pure function of a key, so that a recomputation draws the same one and nothing has to be
// saved.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/base/random.h"

namespace automodel {

/// y = x * m / (1 - p), m[i] = 0 with probability p and 1 otherwise, decided by (key, i). Returns x itself when p is 0.
/// The mask is computed again in the backward. It is the same on every device: without set_gpu_dropout() that of a GPU
/// is made on the CPU and copied.
at::Tensor dropout(const at::Tensor& x, double p, RandomKey key);

/// How a GPU computes x * m / (1 - p) from a key's value, for fp32, bf16 and fp16; who has kernels tells it here, once.
using GpuDropout = at::Tensor (*)(const at::Tensor& x, double p, uint64_t key);
void set_gpu_dropout(GpuDropout compute);

}  // namespace automodel
