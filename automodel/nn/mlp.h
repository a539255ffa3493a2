// Mlp: down(f(gate(x)) * up(x)), or down(f(up(x))) where there is no gate.
#pragma once

#include "automodel/kernels/activation/activation.h"
#include "automodel/nn/linear.h"

namespace automodel::nn {

struct MlpSpec {
  kernels::Activation activation = kernels::Activation::Silu;
  bool gated = true;  // `in` yields gate and up, [2 I], gate first
  LinearSpec in, out;
};

/// The adapters of both linears, where the MLP then runs as one function that keeps nothing of what lies between them
/// (kernels/adapter/adapted_mlp.h); else nulls.
struct MlpAdapters {
  kernels::AdapterStorage *in = nullptr, *out = nullptr;
};
MlpAdapters mlp_adapters(const MlpSpec& spec, const LinearOp& in, const LinearOp& out, at::Device device,
                         bool training);

/// What lies between the two products can be made again from the first one's output.
class Mlp {
 public:
  Mlp(const MlpSpec& spec, at::ScalarType dtype) : spec_(spec), in_(spec.in, dtype), out_(spec.out, dtype) {}
  /// x [T, H] -> [T, H], added to the residual if there is one.
  at::Tensor forward(const kernels::Remade& x, Context& context, const at::Tensor& residual = {});
  int64_t input_padding() const { return in_.op->input_padding(); }
  void collect(std::vector<ParameterPtr>& out) const;
  void collect_linears(std::vector<Linear*>& out);

 private:
  at::Tensor activate(const at::Tensor& inner) const;

  MlpSpec spec_;
  Linear in_, out_;
};

}  // namespace automodel::nn
