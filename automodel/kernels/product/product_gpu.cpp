#include "automodel/kernels/product/product_gpu.h"

#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"

namespace automodel::kernels {

static constexpr int64_t kWorkspace = 32 << 20;  // bytes; what cuBLAS itself takes on Hopper

static cuda::Matrix matrix_of(const at::Tensor& x) {
  const bool rows = x.stride(1) == 1 && (x.stride(0) >= x.size(1) || x.size(0) == 1);
  AM_CHECK(rows || x.stride(0) == 1, "neither rows nor columns lie side by side: strides {} {}", x.stride(0),
           x.stride(1));
  return {x.const_data_ptr(), rows ? x.stride(0) : x.stride(1), !rows};
}

static cuda::ProductCall call_of(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  AM_CHECK(a.size(1) == b.size(0) && out.size(0) == a.size(0) && out.size(1) == b.size(1), "shapes");
  return {.type = cuda_dtype(a),
          .out = cuda_dtype(out),
          .m = a.size(0),
          .n = b.size(1),
          .k = a.size(1),
          .a = matrix_of(a),
          .b = matrix_of(b),
          .c = c.defined() ? c.const_data_ptr() : nullptr,
          .d = const_cast<void*>(out.const_data_ptr()),
          .c_stride = c.defined() ? c.stride(0) : 0,
          .d_stride = out.stride(0),
          .alpha = 1,
          .beta = c.defined() ? 1.0f : 0.0f,
          .workspace = nullptr,
          .workspace_bytes = kWorkspace,
          .choice = 0};
}

int product_choices(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  const CudaLaunch on(out);
  return cuda_table().product.choices ? cuda_table().product.choices(call_of(out, a, b, c)) : 0;
}

void product_gpu(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, int choice) {
  if (out.numel() == 0) return;
  const bool has = cuda_table().product.run && a.size(1) > 0 && a.scalar_type() != at::kFloat;
  if (!has) {
    at::mm_out(out, a, b);
    if (c.defined()) out.add_(c);
    return;
  }
  auto call = call_of(out, a, b, c);
  const auto workspace = at::empty({kWorkspace}, out.options().dtype(at::kByte).requires_grad(false));
  call.workspace = workspace.mutable_data_ptr(), call.choice = choice;
  const CudaLaunch on(out);
  if (const char* error = cuda_table().product.run(call, on.stream())) throw SystemError("product", error);
}

void product_gpu(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  product_gpu(out, a, b, c, 0);
}

}  // namespace automodel::kernels
