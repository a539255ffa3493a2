#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "automodel/kernels/attention/attention_gpu.h"
#include "tests/gpu/speed.h"

namespace automodel::kernels::speed {

// Causal, 32 heads on 8 of size 128, 8,192 tokens in documents of one length: real chats are short. Bytes are those of
// q, k, v and O, and backward of their gradients too: what a kernel must at least move.
void run_attention() {
  const int64_t T = 8192, heads = 32, kv_heads = 8, D = 128;
  for (const int64_t length : {180, 512, 4096}) {
    AttentionPlan plan;
    for (int64_t at = 0; at < T; at += length) plan.q_begin.push_back(at);
    plan.q_begin.push_back(T);
    plan.k_begin = plan.q_begin, plan.scale = 0.088;
    const auto qkv = random({T, heads + 2 * kv_heads, D}).requires_grad_(), d_o = random({T, heads, D});
    const auto q = qkv.narrow(1, 0, heads), k = qkv.narrow(1, heads, kv_heads),
               v = qkv.narrow(1, heads + kv_heads, kv_heads);
    const double bytes = static_cast<double>(T * (2 * heads + 2 * kv_heads) * D) * 2;
    using Way = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&, const AttentionPlan&);
    for (const auto& [name, way] :
         {std::pair<const char*, Way>{"cuDNN", attention_cudnn}, {"flash", attention_flash}}) {
      const auto what = fmt::format("attention, {} a document, {}", length, name);
      measure(what + " forward", bytes, [&] {
        const at::NoGradGuard guard;
        way(q, k, v, plan);
      });
      measure(what + " both", 3 * bytes, [&] { torch::autograd::grad({way(q, k, v, plan)}, {qkv}, {d_o}); });
    }
  }
}

}  // namespace automodel::kernels::speed
