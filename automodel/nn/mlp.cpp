#include "automodel/nn/mlp.h"

namespace automodel::nn {

at::Tensor Mlp::activate(const at::Tensor& inner) const {
  return spec_.gated ? kernels::gated_activation(inner, spec_.activation, out_.op->input_padding())
                     : kernels::activation(inner, spec_.activation);
}

at::Tensor Mlp::forward(const kernels::Remade& x, Context& context, const at::Tensor& residual) {
  const auto inner = in_.forward(x, context), activated = activate(inner);
  if (!context.remakes) return out_.forward(activated, context, residual);
  return out_.forward({activated, [this, inner = inner.detach()] { return activate(inner); }}, context, residual);
}

void Mlp::collect(std::vector<ParameterPtr>& out) const {
  in_.op->collect(out);
  out_.op->collect(out);
}

void Mlp::collect_linears(std::vector<Linear*>& out) {
  out.push_back(&in_);
  out.push_back(&out_);
}

}  // namespace automodel::nn
