#include "automodel/kernels/layer_norm/layer_norm.h"

#include <ATen/ops/layer_norm.h>

namespace automodel::kernels {

at::Tensor layer_norm(const at::Tensor& x, Parameter& weight, Parameter* bias, double eps) {
  const std::optional<at::Tensor> shift = bias ? std::optional(differentiable(*bias)) : std::nullopt;
  return at::layer_norm(x, {x.size(-1)}, differentiable(weight), shift, eps);
}

}  // namespace automodel::kernels
