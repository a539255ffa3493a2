#include "automodel/kernels/layer_norm/layer_norm.h"

#include <ATen/ops/layer_norm.h>

#include "automodel/kernels/one_device.h"

namespace automodel::kernels {

at::Tensor layer_norm(const at::Tensor& x, Parameter& weight, Parameter* bias, double eps) {
  expect_one_device("layer_norm", {"x", x}, {{"weight", weight}, {"bias", bias}});
  if (const NormSettings norm{.weight = &weight, .bias = bias, .eps = eps, .center = true}; has_norm_gpu(x, norm))
    return norm_gpu(x, norm);
  // In a narrower dtype libtorch's CPU kernel would add up the gradients of weight and bias in it, token by token.
  const auto wide = [&](const at::Tensor& tensor) { return x.element_size() < 4 ? tensor.to(at::kFloat) : tensor; };
  const std::optional<at::Tensor> shift = bias ? std::optional(wide(differentiable(*bias))) : std::nullopt;
  return at::layer_norm(wide(x), {x.size(-1)}, wide(differentiable(weight)), shift, eps).to(x.scalar_type());
}

PassNorm pass_layer_norm(const at::Tensor& x, Parameter& weight, Parameter* bias, double eps, int64_t padding) {
  if (const NormSettings norm{.weight = &weight, .bias = bias, .eps = eps, .center = true, .row_padding = padding};
      has_norm_gpu(x, norm))
    return pass_norm_gpu(x, norm);
  return {x, layer_norm(x, weight, bias, eps)};
}

}  // namespace automodel::kernels
