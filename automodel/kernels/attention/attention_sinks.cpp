#include "automodel/kernels/attention/attention_sinks.h"

#include <ATen/ops/exp.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/sum.h>

namespace automodel::kernels {

void add_sinks(const at::Tensor& o, const at::Tensor& lse, const Parameter& sinks) {
  const auto with = at::logaddexp(lse, sinks.value().detach().to(at::kFloat));
  o.mul_(at::exp(lse - with).unsqueeze(-1));
  lse.copy_(with);
}

void add_sinks_gradient(const at::Tensor& d_o, const at::Tensor& o, const at::Tensor& lse, Parameter& sinks) {
  if (!sinks.trainable) return;
  const auto share = at::exp(sinks.value().detach().to(at::kFloat) - lse);
  const auto delta = at::sum(d_o.to(at::kFloat) * o, {-1});
  sinks.add_grad(at::sum((share * delta).flatten(0, -2), {0}).neg());
}

}  // namespace automodel::kernels
