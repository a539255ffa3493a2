#include "automodel/nn/mlp.h"

#include "automodel/kernels/adapter/adapted_mlp.h"

namespace automodel::nn {

MlpAdapters mlp_adapters(const MlpSpec& spec, const LinearOp& in, const LinearOp& out, at::Device device,
                         bool training) {
  if (!spec.gated || in.view().bias || out.view().bias) return {};
  const MlpAdapters both{in.adapter_storage(device, training), out.adapter_storage(device, training)};
  if (!both.in || !both.out || !kernels::has_adapted_mlp(*both.in, *both.out, spec.activation, device)) return {};
  return both;
}

at::Tensor Mlp::activate(const at::Tensor& inner) const {
  return spec_.gated ? kernels::gated_activation(inner, spec_.activation, out_.op->input_padding())
                     : kernels::activation(inner, spec_.activation);
}

at::Tensor Mlp::forward(const kernels::Remade& x, Context& context, const at::Tensor& residual) {
  if (const auto [in, out] = mlp_adapters(spec_, *in_.op, *out_.op, x.value().device(), context.training); in) {
    for (auto* storage : {in, out}) storage->refresh(!context.recomputing);
    return kernels::adapted_mlp(x, *in, *out, spec_.activation, residual,
                                {in_.op->adapter_dropout(context), out_.op->adapter_dropout(context)});
  }
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
