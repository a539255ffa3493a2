#include "automodel/kernels/product/product.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <cstdlib>

namespace automodel::kernels {

bool prefers_onednn() {
#if defined(__x86_64__)
  // oneDNN keeps the code it made for every shape, by default 1,024 of them: hundreds of MiB.
  static const bool bounded = ::setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256", 0) == 0 &&
                              ::setenv("LRU_CACHE_CAPACITY", "256", 0) == 0;  // and libtorch keeps them again
  static const bool prefers = bounded && __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512f") &&
                              c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""}).has_value();
  return prefers;
#else
  return false;
#endif
}

// The only way to oneDNN's fp32 product with plain tensors that libtorch offers: linear of X [M, K] and W [N, K],
// nothing fused.
static at::Tensor onednn_product(const at::Tensor& a, const at::Tensor& b) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "");
  torch::jit::Stack stack;
  stack.reserve(6);
  stack.emplace_back(a);
  stack.emplace_back(b);
  stack.emplace_back();  // no bias
  stack.emplace_back(std::string("none"));
  stack.emplace_back(c10::List<std::optional<at::Scalar>>());
  stack.emplace_back(std::string());
  const at::AutoDispatchBelowADInplaceOrView below;  // the op has no autograd formula and needs none
  op.callBoxed(stack);
  return std::move(stack.back()).toTensor();
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  constexpr int64_t kSmall = 1 << 20;  // multiplications below which the call costs more than it gains
  const bool large =
      a.size(0) >= 16 && b.size(0) >= 16 && a.size(1) >= 16 && a.size(0) * a.size(1) * b.size(0) >= kSmall;
  if (!large || !a.device().is_cpu() || a.scalar_type() != at::kFloat || !prefers_onednn()) return at::mm(a, b.t());
  const int64_t rows = a.size(0), padded = (rows + kTokenBlock - 1) / kTokenBlock * kTokenBlock;
  if (padded == rows) return onednn_product(a, b);
  auto filled = at::empty({padded, a.size(1)}, a.options());
  filled.narrow(0, 0, rows).copy_(a);
  filled.narrow(0, rows, padded - rows).zero_();
  const auto result = onednn_product(filled, b);
  // Not as a view that autograd tracks: callers may change the result in place inside their own functions.
  const at::AutoDispatchBelowADInplaceOrView below;
  return result.narrow(0, 0, rows);
}

}  // namespace automodel::kernels
