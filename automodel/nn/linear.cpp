#include "automodel/nn/linear.h"

#include <ATen/ops/linalg_vector_norm.h>

#include <numeric>

#include "automodel/base/error.h"
#include "automodel/kernels/linear/linear.h"

namespace automodel::nn {

at::Tensor Dense::forward(const kernels::Remade& x, Context& context) {
  return kernels::linear(x, *weight, bias.get());
}

at::Tensor Dense::forward_onto(const at::Tensor& residual, const kernels::Remade& x, Context& context) {
  return kernels::linear(x, *weight, bias.get(), residual);
}

at::Tensor Dense::row_norms() const {
  at::NoGradGuard guard;
  return at::linalg_vector_norm(weight->value().to(at::kFloat), 2, {1});
}

void Dense::collect(std::vector<ParameterPtr>& out) const {
  out.push_back(weight);
  if (bias) out.push_back(bias);
}

static std::vector<ParameterSlice> slices(const LinearSpec& spec, const std::string& suffix, bool transposed) {
  std::vector<ParameterSlice> slices;
  int64_t begin = 0;
  for (size_t i = 0; i < spec.modules.size(); ++i) {
    slices.push_back({spec.modules[i] + suffix, begin, spec.rows[i], transposed});
    begin += spec.rows[i];
  }
  return slices;
}

Linear::Linear(const LinearSpec& spec, at::ScalarType dtype) : spec_(spec) {
  AM_CHECK(!spec.modules.empty() && spec.modules.size() == spec.rows.size(), "linear without modules");
  auto weight = std::make_shared<Parameter>(slices(spec, ".weight", spec.transposed),
                                            std::vector<int64_t>{out(), spec.in}, dtype, spec.init);
  ParameterPtr bias;
  if (spec.bias)
    bias = std::make_shared<Parameter>(slices(spec, ".bias", false), std::vector<int64_t>{out()}, dtype,
                                       Init{Init::Kind::Zeros});
  op = std::make_unique<Dense>(std::move(weight), std::move(bias));
}

int64_t Linear::out() const { return std::accumulate(spec_.rows.begin(), spec_.rows.end(), int64_t{0}); }

}  // namespace automodel::nn
