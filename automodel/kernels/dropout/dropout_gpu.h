// Dropout on a GPU, with the mask of the CPU.
#pragma once

#include "automodel/kernels/dropout/dropout_cuda.h"
#include "automodel/tensor/dropout.h"

namespace automodel::kernels {

/// The mask as kernels take it.
cuda::DropMask cuda_mask(const DropoutMask& mask);

/// What load_cuda() gives to set_gpu_dropout(): contiguous, for fp32, bf16 and fp16.
at::Tensor dropout_gpu(const at::Tensor& x, const DropoutMask& mask);

}  // namespace automodel::kernels
