#include "automodel/kernels/attention/attention_gpu.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "automodel/base/log.h"
#include "automodel/kernels/attention/fused_attention.h"
#include "automodel/kernels/cuda/library.h"

namespace automodel::kernels {

using Way = AttentionChoice::Way;

AttentionChoice choose_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 const AttentionPlan& plan) {
  std::string reason = why_not_fused({at::kCUDA, q.scalar_type(), q.size(1), q.size(2), plan.dropout, plan.softcap});
  if (!reason.empty()) return {Way::Reference, reason};
  const bool cache = plan.q_begin != plan.k_begin;  // no gradient, little work, new lengths each time
  if (cache && plan.softcap == 0) return {Way::Flash, ""};
  if (cache) return {Way::Reference, ""};
  if (!has_attention_cudnn(q, k, v, plan, reason))
    return {plan.softcap > 0 ? Way::Reference : Way::Flash, reason};  // flash cannot cap scores
  return {Way::Cudnn, ""};
}

static void say_once(const AttentionChoice& choice) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (!said.insert(choice.reason).second) return;
  if (choice.way == Way::Flash)
    log_warning(fmt::format("attention runs at half speed, by flash attention: cuDNN cannot ({})", choice.reason));
  else
    log_warning(fmt::format(
        "attention is slow and keeps all pairs of tokens of a document: no fused kernel takes it ({})", choice.reason));
}

at::Tensor attention_gpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan) {
  if (q.size(0) == 0) return attention_reference(q, k, v, plan);
  const auto choice = choose_attention(q, k, v, plan);
  if (!choice.reason.empty()) say_once(choice);
  switch (choice.way) {
    case Way::Cudnn:
      return attention_cudnn(q, k, v, plan);
    case Way::Flash:
      return attention_flash(q, k, v, plan);
    case Way::Reference:
      break;
  }
  return attention_reference(q, k, v, plan);
}

}  // namespace automodel::kernels
