#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include "automodel/kernels/attention/attention.h"
#include "automodel/tensor/dropout.h"

namespace automodel::kernels {

at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const AttentionPlan& plan) {
  const int64_t group = q.size(1) / k.size(1);
  std::vector<at::Tensor> out;
  for (size_t d = 0; d + 1 < plan.q_begin.size(); ++d) {
    const int64_t nq = plan.q_begin[d + 1] - plan.q_begin[d], nk = plan.k_begin[d + 1] - plan.k_begin[d];
    const auto q_HTD = q.narrow(0, plan.q_begin[d], nq).transpose(0, 1);
    const auto k_HTD = k.narrow(0, plan.k_begin[d], nk).transpose(0, 1).repeat_interleave(group, 0);
    const auto v_HTD = v.narrow(0, plan.k_begin[d], nk).transpose(0, 1).repeat_interleave(group, 0);
    const auto row = at::arange(nk - nq, nk, q.options().dtype(at::kLong)).unsqueeze(1);
    const auto column = at::arange(nk, q.options().dtype(at::kLong)).unsqueeze(0);
    auto hidden = column > row;
    if (plan.window > 0) hidden = hidden.logical_or(column <= row - plan.window);
    auto scores = at::matmul(q_HTD, k_HTD.transpose(1, 2)) * plan.scale;
    if (plan.softcap > 0) scores = at::tanh(scores / plan.softcap) * plan.softcap;
    scores = scores.to(at::kFloat).masked_fill(hidden, -INFINITY);
    if (plan.sinks) {
      const auto sinks = differentiable(*plan.sinks).to(at::kFloat).view({-1, 1, 1});
      scores = at::cat({scores, sinks.expand({-1, nq, 1})}, 2);
    }
    auto weights = at::softmax(scores, -1).narrow(2, 0, nk).to(q.scalar_type());
    weights = dropout(weights, plan.dropout, plan.key.with(d));
    out.push_back(at::matmul(weights, v_HTD).transpose(0, 1));
  }
  return out.empty() ? q.clone() : at::cat(out, 0);
}

}  // namespace automodel::kernels
