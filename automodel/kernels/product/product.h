// Matrix products through whichever library is faster on this CPU.
#pragma once

#include <ATen/core/Tensor.h>

namespace automodel::kernels {

/// oneDNN makes code for every shape it meets. Tokens of a microbatch differ from step to step, so their number is
/// brought to a multiple of this before it sees them.
inline constexpr int64_t kTokenBlock = 128;

/// C = A B^T
///
/// a [M, K], b [N, K], one float dtype, any strides; returns [M, N], contiguous, dtype of a. M may differ from call to
/// call, N and K should be few different ones. libtorch's at::mm calls MKL, which uses half the vector width of AMD's
/// CPUs with AVX-512; there fp32 products of some size go to oneDNN (twice as fast: 2048 x 384 x 2304 at 420 against
/// 210 GFLOP/s on 2 cores). The choice depends on the CPU and the shape alone, so results repeat bit for bit on one
/// machine. No gradient.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);

/// True if fp32 products go to oneDNN on this machine.
bool prefers_onednn();

}  // namespace automodel::kernels
