// Dropout on a GPU, with the mask of the CPU.
#pragma once

#include <ATen/core/Tensor.h>

namespace automodel::kernels {

/// What load_cuda() gives to set_gpu_dropout(): x * mask / (1 - p), contiguous, for fp32, bf16 and fp16.
at::Tensor dropout_gpu(const at::Tensor& x, double p, uint64_t key);

}  // namespace automodel::kernels
