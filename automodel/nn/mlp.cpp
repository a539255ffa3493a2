#include "automodel/nn/mlp.h"

namespace automodel::nn {

at::Tensor Mlp::forward(const at::Tensor& x, Context& context, const at::Tensor& residual) {
  const auto inner = in_.forward(x, context);
  const auto activated = spec_.gated ? kernels::gated_activation(inner, spec_.activation, out_.op->input_padding())
                                     : kernels::activation(inner, spec_.activation);
  return out_.forward(activated, context, residual);
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
