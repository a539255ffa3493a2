#include "automodel/kernels/product/product_gpu.h"

#include <ATen/Context.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/device_error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/one_device.h"

namespace automodel::kernels {

static constexpr int64_t kWorkspace = 32 << 20;  // bytes; what cuBLAS itself takes on Hopper
static constexpr int64_t kTested = 1 << 30;      // multiplications from which a product is worth a test

// Rows or columns side by side; a single row or column has any stride.
static bool has_rows(const at::Tensor& x) { return x.stride(1) == 1 && (x.stride(0) >= x.size(1) || x.size(0) == 1); }
static bool has_columns(const at::Tensor& x) {
  return x.stride(0) == 1 && (x.stride(1) >= x.size(0) || x.size(1) == 1);
}

static cuda::Matrix matrix_of(const at::Tensor& x) {
  const bool rows = has_rows(x);
  const int64_t least = rows ? x.size(1) : x.size(0);
  return {x.const_data_ptr(), std::max(least, rows ? x.stride(0) : x.stride(1)), !rows};
}

static bool fits(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  const auto type = a.scalar_type(), wide = out.scalar_type();
  return cuda_table().product.run && (type == at::kBFloat16 || type == at::kHalf) &&
         (wide == type || wide == at::kFloat) && (has_rows(a) || has_columns(a)) && (has_rows(b) || has_columns(b)) &&
         has_rows(out) && (!c.defined() || (has_rows(c) && c.scalar_type() == wide));
}

static void by_libtorch(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, double alpha) {
  if (c.defined() && !c.is_same(out)) out.copy_(c);
  const double beta = c.defined() ? 1 : 0;
  if (out.scalar_type() == a.scalar_type())
    at::addmm_out(out, out, a, b, beta, alpha);
  else
    at::addmm_out(out, out, a, b, out.scalar_type(), beta, alpha);
}

static void no_terms(at::Tensor& out, const at::Tensor& c) {
  if (!c.defined())
    out.zero_();
  else if (!c.is_same(out))
    out.copy_(c);
}

void product_gpu(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, double alpha) {
  AM_CHECK(a.size(1) == b.size(0) && out.size(0) == a.size(0) && out.size(1) == b.size(1), "shapes");
  expect_one_device("product", {"out", out}, {{"a", a}, {"b", b}, {"c", c}});
  if (out.numel() == 0) return;
  if (a.size(1) == 0) return no_terms(out, c);
  if (!fits(out, a, b, c)) return by_libtorch(out, a, b, c, alpha);
  const bool first = at::globalContext().deterministicAlgorithms();
  const auto workspace = at::empty({kWorkspace}, out.options().dtype(at::kByte).requires_grad(false));
  cuda::ProductCall call{.type = cuda_dtype(a),
                         .out = cuda_dtype(out),
                         .m = a.size(0),
                         .n = b.size(1),
                         .k = a.size(1),
                         .a = matrix_of(a),
                         .b = matrix_of(b),
                         .c = c.defined() ? c.const_data_ptr() : nullptr,
                         .d = out.mutable_data_ptr(),
                         .c_stride = c.defined() ? matrix_of(c).stride : 0,
                         .d_stride = matrix_of(out).stride,
                         .alpha = static_cast<float>(alpha),
                         .beta = c.defined() ? 1.0f : 0.0f,
                         .workspace = workspace.mutable_data_ptr(),
                         .workspace_bytes = kWorkspace,
                         .first = first};
  const CudaLaunch on(out);
  const auto& library = cuda_table().product;
  const auto check = [](const char* error) {
    if (error) throw DeviceError("product", error);
  };
  if (!first && call.m * call.n * call.k >= kTested && !library.tested(call)) {
    // The test writes many times, and c may be out.
    const auto scratch = at::empty({call.m, call.n}, out.options().requires_grad(false));
    auto trial = call;
    trial.d = scratch.mutable_data_ptr(), trial.d_stride = call.n;
    check(library.test(trial, on.stream()));
  }
  check(library.run(call, on.stream()));
}

}  // namespace automodel::kernels
