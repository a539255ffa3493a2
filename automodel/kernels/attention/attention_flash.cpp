#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include "automodel/kernels/attention/attention_gpu.h"
#include "automodel/kernels/attention/attention_sinks.h"

namespace automodel::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// How libtorch's op is called. One document needs no borders: then q, k and v have a leading batch dim of 1.
struct Call : torch::CustomClassHolder {
  std::optional<at::Tensor> q_borders, k_borders;
  int64_t longest_q = 0, longest_k = 0;
  double scale = 1;
  std::optional<int64_t> left;  // keys seen before the query itself; nothing: all
  std::optional<int64_t> right;
  Parameter* sinks = nullptr;
  bool one() const { return !q_borders.has_value(); }
};

int64_t longest(const std::vector<int64_t>& begin) {
  int64_t longest = 0;
  for (size_t d = 0; d + 1 < begin.size(); ++d) longest = std::max(longest, begin[d + 1] - begin[d]);
  return longest;
}

at::Tensor on_device(const std::vector<int64_t>& begin, at::Device device) {
  auto host = at::empty({static_cast<int64_t>(begin.size())}, at::kInt);
  std::copy(begin.begin(), begin.end(), host.mutable_data_ptr<int32_t>());
  return host.to(device);
}

c10::intrusive_ptr<Call> call_of(const at::Tensor& q, const AttentionPlan& plan) {
  auto call = c10::make_intrusive<Call>();
  call->longest_q = longest(plan.q_begin), call->longest_k = longest(plan.k_begin);
  call->scale = plan.scale;
  call->sinks = plan.sinks;
  if (plan.window > 0 && plan.window < call->longest_k) call->left = plan.window - 1, call->right = 0;
  if (plan.q_begin.size() > 2) {
    const bool same = plan.q_begin == plan.k_begin;
    call->q_borders = plan.borders.defined() ? plan.borders : on_device(plan.q_begin, q.device());
    call->k_borders = same ? call->q_borders : on_device(plan.k_begin, q.device());
  }
  return call;
}

struct Forward {
  at::Tensor o, lse, state, unused;
};

// [Tq, Hq] of flash's [Hq, Tq], or [1, Hq, Tq] without borders.
at::Tensor by_token(const at::Tensor& lse) { return lse.dim() == 3 ? lse.squeeze(0).t() : lse.t(); }

Forward forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Call& call) {
  const auto batched = [&](const at::Tensor& x) { return call.one() ? x.unsqueeze(0) : x; };
  auto [o, lse, state, unused, debug] = at::_flash_attention_forward(
      batched(q), batched(k), batched(v), call.q_borders, call.k_borders, call.longest_q, call.longest_k, 0.0,
      /*is_causal=*/true, /*return_debug_mask=*/false, call.scale, call.left, call.right);
  Forward out{call.one() ? o.squeeze(0) : o, lse, state, unused};
  if (call.sinks) add_sinks(out.o, by_token(lse), *call.sinks);
  return out;
}

struct FlashFunction : torch::autograd::Function<FlashFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionPlan* plan) {
    const auto call = call_of(q, *plan);
    const at::AutoDispatchBelowADInplaceOrView below;  // the result is no view to autograd
    const auto out = kernels::forward(q, k, v, *call);
    ctx->save_for_backward({q, k, v, out.o, out.lse, out.state, out.unused});
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    return out.o;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto capsule = ctx->saved_data["call"].toCapsule();
    const auto& call = static_cast<const Call&>(*capsule);
    const auto batched = [&](const at::Tensor& x) { return call.one() ? x.unsqueeze(0) : x; };
    const auto none = at::Tensor();
    if (call.sinks) add_sinks_gradient(grads[0], saved[3], by_token(saved[4]), *call.sinks);
    auto [dq, dk, dv] = at::_flash_attention_backward(
        batched(grads[0].contiguous()), batched(saved[0]), batched(saved[1]), batched(saved[2]), batched(saved[3]),
        saved[4], call.q_borders.value_or(none), call.k_borders.value_or(none), call.longest_q, call.longest_k, 0.0,
        /*is_causal=*/true, saved[5], saved[6], call.scale, call.left, call.right);
    if (!call.one()) return {dq, dk, dv, none};
    return {dq.squeeze(0), dk.squeeze(0), dv.squeeze(0), none};
  }
};

}  // namespace

at::Tensor attention_flash(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan) {
  const auto in_rows = [](const at::Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); };
  const auto q_rows = in_rows(q), k_rows = in_rows(k), v_rows = in_rows(v);
  const bool wants = q.requires_grad() || k.requires_grad() || v.requires_grad();
  if (at::GradMode::is_enabled() && wants) return FlashFunction::apply(q_rows, k_rows, v_rows, &plan);
  return forward(q_rows, k_rows, v_rows, *call_of(q, plan)).o;
}

}  // namespace automodel::kernels
