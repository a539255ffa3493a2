#include "automodel/kernels/dropout/dropout_gpu.h"

#include <ATen/ops/empty.h>

#include "automodel/kernels/cuda/library.h"

namespace automodel::kernels {

at::Tensor dropout_gpu(const at::Tensor& given, double p, uint64_t key) {
  const auto x = given.contiguous();
  auto y = at::empty(x.sizes(), x.options().requires_grad(false));
  const CudaLaunch on(x);
  on(cuda_table().dropout.forward({.dtype = cuda_dtype(x),
                                   .count = x.numel(),
                                   .x = x.const_data_ptr(),
                                   .y = y.mutable_data_ptr(),
                                   .key = key,
                                   .threshold = static_cast<uint64_t>(p * 4294967296.0),
                                   .kept = p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0f},
                                  on.stream()));
  return y;
}

}  // namespace automodel::kernels
