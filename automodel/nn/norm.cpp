#include "automodel/nn/norm.h"

#include "automodel/kernels/layer_norm/layer_norm.h"
#include "automodel/kernels/rms_norm/rms_norm.h"

namespace automodel::nn {

Norm::Norm(const NormSpec& spec, const std::string& module, int64_t D, at::ScalarType dtype) : spec_(spec) {
  const Init init{spec.plus_one ? Init::Kind::Zeros : Init::Kind::Ones};
  weight_ = std::make_shared<Parameter>(module + ".weight", std::vector<int64_t>{D}, dtype, init);
  if (spec.bias)
    bias_ = std::make_shared<Parameter>(module + ".bias", std::vector<int64_t>{D}, dtype, Init{Init::Kind::Zeros});
}

at::Tensor Norm::forward(const at::Tensor& x) {
  if (spec_.kind == NormSpec::Kind::Layer) return kernels::layer_norm(x, *weight_, bias_.get(), spec_.eps);
  return kernels::rms_norm(x, *weight_, spec_.eps, spec_.plus_one);
}

kernels::PassNorm Norm::pass(const at::Tensor& x, int64_t padding) const {
  if (spec_.kind == NormSpec::Kind::Layer)
    return kernels::pass_layer_norm(x, *weight_, bias_.get(), spec_.eps, padding);
  return kernels::pass_rms_norm(x, *weight_, spec_.eps, spec_.plus_one, padding);
}

Normed Norm::pass(const at::Tensor& x, int64_t padding, const Context& context) {
  const auto [h, y] = pass(x, padding);
  if (!context.remakes) return {h, y};
  return {h, {y, [this, x = x.detach(), padding] { return pass(x, padding).y; }}};
}

void Norm::collect(std::vector<ParameterPtr>& out) const {
  out.push_back(weight_);
  if (bias_) out.push_back(bias_);
}

}  // namespace automodel::nn
