// Matrix products on a GPU with what libtorch's operators lack: an addend that is not the result, tested algorithms.
#pragma once

#include <ATen/core/Tensor.h>

namespace automodel::kernels {

/// out = alpha a b + c, rounded once
///
/// a [M, K], b [K, N] of one float dtype, each with rows or columns side by side; c and out [M, N], rows side by side,
/// of that dtype or fp32. c may be undefined (no addend), another tensor (read once on the way) or out itself. CUDA
/// tensors; no gradient. bf16 and fp16 go to cuBLASLt: products of a new shape are timed with each of its candidate
/// algorithms once, some 30 runs, and the fastest is kept for all of about that shape; with libtorch's deterministic
/// algorithms cuBLASLt's own choice is taken. Everything else goes to libtorch's operators.
void product_gpu(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c = {}, double alpha = 1);

}  // namespace automodel::kernels
