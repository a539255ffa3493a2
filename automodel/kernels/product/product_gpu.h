// Matrix products on a GPU with what libtorch's operators lack.
#pragma once

#include <ATen/core/Tensor.h>

namespace automodel::kernels {

/// out = a b + c, rounded once
///
/// a [M, K], b [K, N] of one dtype, bf16 or fp16, each with rows or columns side by side; c and out [M, N], rows side
/// by side, of that dtype or fp32. c is another tensor than out (or undefined: no c): the addition costs reading c
/// once. CUDA tensors; no gradient.
void product_gpu(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c = {});

/// The same with one of cuBLASLt's candidates, 0 <= choice < product_choices(...), for measuring.
void product_gpu(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, int choice);
int product_choices(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c);

}  // namespace automodel::kernels
