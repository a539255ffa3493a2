// split_qkv on a GPU.
#pragma once

#include "automodel/kernels/qkv/qkv.h"

namespace automodel::kernels {

/// A CUDA tensor of fp32, bf16 or fp16, with norms of the same dtype.
bool has_split_qkv_gpu(const at::Tensor& qkv, const QkNorm& norm);

/// As split_qkv (qkv.h). q, k and v are parts of one packed tensor: qkv itself if `overwrite` and there is no norm. The
/// backward returns a packed gradient, in place where dq, dk and dv already are the parts of one.
Qkv split_qkv_gpu(const at::Tensor& qkv, QkvHeads heads, const QkNorm& norm, const RopeTable& rope, bool overwrite);

}  // namespace automodel::kernels
