#include "automodel/kernels/dropout/dropout_gpu.h"

#include <ATen/ops/empty.h>

#include "automodel/kernels/cuda/library.h"

namespace automodel::kernels {

cuda::DropMask cuda_mask(const DropoutMask& mask) { return {mask.key, mask.threshold(), mask.kept()}; }

at::Tensor dropout_gpu(const at::Tensor& given, const DropoutMask& mask) {
  const auto x = given.contiguous();
  auto y = at::empty(x.sizes(), x.options().requires_grad(false));
  const CudaLaunch on(x);
  on(cuda_table().dropout.forward({.dtype = cuda_dtype(x),
                                   .count = x.numel(),
                                   .x = x.const_data_ptr(),
                                   .y = y.mutable_data_ptr(),
                                   .mask = cuda_mask(mask)},
                                  on.stream()));
  return y;
}

}  // namespace automodel::kernels
