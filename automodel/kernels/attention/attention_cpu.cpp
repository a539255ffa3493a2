#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <atomic>

#include "automodel/base/error.h"
#include "automodel/kernels/attention/attention.h"
#include "automodel/kernels/attention/attention_gpu.h"
#include "automodel/kernels/attention/attention_sinks.h"
#include "automodel/kernels/attention/fused_attention.h"
#include "automodel/kernels/one_device.h"
#include "automodel/kernels/simd.h"

// libtorch's BLAS (MKL or OpenBLAS), column-major; one thread when called from inside a parallel region.
extern "C" void sgemm_(const char* ta, const char* tb, const int* m, const int* n, const int* k, const float* alpha,
                       const float* a, const int* lda, const float* b, const int* ldb, const float* beta, float* c,
                       const int* ldc);

namespace automodel::kernels {
namespace {

// C [m, n] = alpha op(A) op(B) + beta C, row-major with row strides; ta/tb: op is the transpose.
void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
          int64_t ldb, float beta, float* c, int64_t ldc) {
  const int M = static_cast<int>(m), N = static_cast<int>(n), K = static_cast<int>(k), LA = static_cast<int>(lda),
            LB = static_cast<int>(ldb), LC = static_cast<int>(ldc);
  sgemm_(tb ? "T" : "N", ta ? "T" : "N", &N, &M, &K, &alpha, b, &LB, a, &LA, &beta, c, &LC);
}

constexpr int64_t kBlock = 64;  // queries handled together: their scores stay in the second-level cache

// One head of one document: the unit of parallel work.
struct Task {
  int64_t document, head;
};

struct Shape {
  int64_t q_heads, kv_heads, D;
  int64_t q_stride() const { return q_heads * D; }
  int64_t kv_stride() const { return kv_heads * D; }
};

// The keys [first, last) that any query of the block [q0, q1) sees; all counted within the document, `shift` = keys -
// queries.
struct KeySpan {
  int64_t first, last;
};
KeySpan keys_of(int64_t q0, int64_t q1, int64_t shift, int64_t window) {
  return {window > 0 ? std::max<int64_t>(0, q0 + shift - window + 1) : 0, q1 + shift};
}

// Runs f(task) for every (document, head), the longest documents first, on all threads.
template <class F>
void for_each_head(const AttentionPlan& plan, int64_t heads, const F& f) {
  std::vector<Task> tasks;
  for (size_t d = 0; d + 1 < plan.q_begin.size(); ++d)
    for (int64_t h = 0; h < heads; ++h) tasks.push_back({static_cast<int64_t>(d), h});
  const auto length = [&](const Task& t) { return plan.k_begin[t.document + 1] - plan.k_begin[t.document]; };
  std::stable_sort(tasks.begin(), tasks.end(), [&](const Task& a, const Task& b) { return length(a) > length(b); });
  std::atomic<size_t> next{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    for (size_t i; (i = next.fetch_add(1)) < tasks.size();) f(tasks[i]);
  });
}

// Scores of one row become probabilities: columns outside [lo, hi) are 0. Returns the log-sum-exp.
AM_SIMD float softmax_row(float* s, int64_t n, int64_t lo, int64_t hi) {
  for (int64_t j = 0; j < lo; ++j) s[j] = 0;
  for (int64_t j = hi; j < n; ++j) s[j] = 0;
  float* x = s + lo;
  const int64_t m = hi - lo;
  const float top = lane_max(m, [&](int64_t j) { return x[j]; });
  for (int64_t j = 0; j < m; ++j) x[j] = exp_fast(x[j] - top);
  const float sum = lane_sum(m, [&](int64_t j) { return x[j]; });
  const float inverse = 1.0f / sum;
  for (int64_t j = 0; j < m; ++j) x[j] *= inverse;
  return top + std::log(sum);
}

// s = softcap * tanh(s / softcap) in place. std::tanh: few models cap their scores, and exp_fast loses small ones.
void cap_scores(float* s, int64_t n, float softcap) {
  for (int64_t j = 0; j < n; ++j) s[j] = softcap * std::tanh(s[j] / softcap);
}

// p = exp(s - lse) in place, then d = p * (d - delta) * scale in place: probabilities and the gradient of the scores.
// Of capped scores s the gradient passes tanh too: 1 - (s / softcap)^2.
AM_SIMD void score_gradient_row(float* p, float* d, int64_t n, int64_t lo, int64_t hi, float lse, float delta,
                                float scale, float softcap) {
  for (int64_t j = 0; j < lo; ++j) p[j] = d[j] = 0;
  for (int64_t j = hi; j < n; ++j) p[j] = d[j] = 0;
  const float inverse = softcap > 0 ? 1 / softcap : 0;
  for (int64_t j = lo; j < hi; ++j) {
    const float share = p[j] * inverse;
    p[j] = exp_fast(p[j] - lse);
    d[j] = p[j] * (d[j] - delta) * scale * (1 - share * share);
  }
}

AM_SIMD float dot(const float* a, const float* b, int64_t n) {
  return lane_sum(n, [&](int64_t i) { return a[i] * b[i]; });
}

void forward_task(const Task& task, const AttentionPlan& plan, const Shape& shape, const float* q, const float* k,
                  const float* v, float* o, float* lse, std::vector<float>& scores) {
  const int64_t D = shape.D, kv_head = task.head / (shape.q_heads / shape.kv_heads);
  const int64_t q_first = plan.q_begin[task.document], k_first = plan.k_begin[task.document];
  const int64_t nq = plan.q_begin[task.document + 1] - q_first, nk = plan.k_begin[task.document + 1] - k_first,
                shift = nk - nq;
  q += q_first * shape.q_stride() + task.head * D;
  o += q_first * shape.q_stride() + task.head * D;
  k += k_first * shape.kv_stride() + kv_head * D;
  v += k_first * shape.kv_stride() + kv_head * D;
  for (int64_t q0 = 0; q0 < nq; q0 += kBlock) {
    const int64_t q1 = std::min(nq, q0 + kBlock), rows = q1 - q0;
    const auto span = keys_of(q0, q1, shift, plan.window);
    const int64_t n = span.last - span.first;
    scores.resize(std::max<size_t>(scores.size(), static_cast<size_t>(rows * n)));
    gemm(false, true, rows, n, D, static_cast<float>(plan.scale), q + q0 * shape.q_stride(), shape.q_stride(),
         k + span.first * shape.kv_stride(), shape.kv_stride(), 0, scores.data(), n);
    if (plan.softcap > 0) cap_scores(scores.data(), rows * n, static_cast<float>(plan.softcap));
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t last = q0 + r + shift + 1, first = plan.window > 0 ? std::max<int64_t>(0, last - plan.window) : 0;
      const float value = softmax_row(scores.data() + r * n, n, first - span.first, last - span.first);
      lse[(q_first + q0 + r) * shape.q_heads + task.head] = value;
    }
    gemm(false, false, rows, D, n, 1, scores.data(), n, v + span.first * shape.kv_stride(), shape.kv_stride(), 0,
         o + q0 * shape.q_stride(), shape.q_stride());
  }
}

struct BackwardBuffers {
  const float *q, *k, *v, *o, *lse, *dout;
  float *dq, *dk, *dv;  // dk and dv per query head: [Tk, q_heads, D], summed over the heads of a group afterwards
};

void backward_task(const Task& task, const AttentionPlan& plan, const Shape& shape, BackwardBuffers b,
                   std::vector<float>& scratch) {
  const int64_t D = shape.D, kv_head = task.head / (shape.q_heads / shape.kv_heads), qs = shape.q_stride(),
                ks = shape.kv_stride();
  const int64_t q_first = plan.q_begin[task.document], k_first = plan.k_begin[task.document];
  const int64_t nq = plan.q_begin[task.document + 1] - q_first, nk = plan.k_begin[task.document + 1] - k_first,
                shift = nk - nq;
  const int64_t q_at = q_first * qs + task.head * D, kv_at = k_first * ks + kv_head * D,
                grad_at = k_first * qs + task.head * D;
  const float scale = static_cast<float>(plan.scale), softcap = static_cast<float>(plan.softcap);
  for (int64_t q0 = 0; q0 < nq; q0 += kBlock) {
    const int64_t q1 = std::min(nq, q0 + kBlock), rows = q1 - q0;
    const auto span = keys_of(q0, q1, shift, plan.window);
    const int64_t n = span.last - span.first, at = q_at + q0 * qs, keys = kv_at + span.first * ks,
                  grads = grad_at + span.first * qs;
    scratch.resize(std::max<size_t>(scratch.size(), static_cast<size_t>(2 * rows * n)));
    float *p = scratch.data(), *d = p + rows * n;
    gemm(false, true, rows, n, D, scale, b.q + at, qs, b.k + keys, ks, 0, p, n);
    if (softcap > 0) cap_scores(p, rows * n, softcap);
    gemm(false, true, rows, n, D, 1, b.dout + at, qs, b.v + keys, ks, 0, d, n);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t last = q0 + r + shift + 1, first = plan.window > 0 ? std::max<int64_t>(0, last - plan.window) : 0;
      const float delta = dot(b.dout + at + r * qs, b.o + at + r * qs, D);
      const float lse = b.lse[(q_first + q0 + r) * shape.q_heads + task.head];
      score_gradient_row(p + r * n, d + r * n, n, first - span.first, last - span.first, lse, delta, scale, softcap);
    }
    gemm(false, false, rows, D, n, 1, d, n, b.k + keys, ks, 0, b.dq + at, qs);
    gemm(true, false, n, D, rows, 1, d, n, b.q + at, qs, 1, b.dk + grads, qs);
    gemm(true, false, n, D, rows, 1, p, n, b.dout + at, qs, 1, b.dv + grads, qs);
  }
}

struct Forward {
  at::Tensor o, lse;  // lse [Tq, Hq]
};

Forward forward_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan) {
  Forward out{at::empty_like(q), at::empty({q.size(0), q.size(1)}, q.options())};
  const Shape shape{q.size(1), k.size(1), q.size(2)};
  const float *qp = q.const_data_ptr<float>(), *kp = k.const_data_ptr<float>(), *vp = v.const_data_ptr<float>();
  float *op = out.o.mutable_data_ptr<float>(), *lse = out.lse.mutable_data_ptr<float>();
  for_each_head(plan, shape.q_heads, [&](const Task& task) {
    thread_local std::vector<float> scores;
    forward_task(task, plan, shape, qp, kp, vp, op, lse, scores);
  });
  if (plan.sinks) add_sinks(out.o, out.lse, *plan.sinks);
  return out;
}

struct Kept : torch::CustomClassHolder {
  AttentionPlan plan;
};

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const AttentionPlan* plan) {
    const auto kept = c10::make_intrusive<Kept>();
    kept->plan = *plan;
    const auto out = forward_cpu(q, k, v, *plan);
    ctx->save_for_backward({q, k, v, out.o, out.lse});
    ctx->saved_data["plan"] = c10::IValue::make_capsule(kept);
    return out.o;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto capsule = ctx->saved_data["plan"].toCapsule();
    const auto& plan = static_cast<const Kept&>(*capsule).plan;
    const auto saved = ctx->get_saved_variables();
    const auto &q = saved[0], &k = saved[1], &v = saved[2];
    const auto dout = grads[0].contiguous();
    if (plan.sinks) add_sinks_gradient(dout, saved[3], saved[4], *plan.sinks);
    const Shape shape{q.size(1), k.size(1), q.size(2)};
    const int64_t group = shape.q_heads / shape.kv_heads;
    auto dq = at::empty_like(q);
    auto dk = at::zeros({k.size(0), shape.q_heads, shape.D}, k.options()), dv = at::zeros_like(dk);
    const BackwardBuffers buffers{
        q.const_data_ptr<float>(),        k.const_data_ptr<float>(),        v.const_data_ptr<float>(),
        saved[3].const_data_ptr<float>(), saved[4].const_data_ptr<float>(), dout.const_data_ptr<float>(),
        dq.mutable_data_ptr<float>(),     dk.mutable_data_ptr<float>(),     dv.mutable_data_ptr<float>()};
    for_each_head(plan, shape.q_heads, [&](const Task& task) {
      thread_local std::vector<float> scratch;
      backward_task(task, plan, shape, buffers, scratch);
    });
    const auto fold = [&](const at::Tensor& per_head) {
      return group == 1 ? per_head : at::sum(per_head.view({k.size(0), shape.kv_heads, group, shape.D}), {2});
    };
    return {dq, fold(dk), fold(dv), at::Tensor()};
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan) {
  expect_one_device("attention", {"q", q}, {{"k", k}, {"v", v}, {"borders", plan.borders}, {"sinks", plan.sinks}});
  AM_CHECK(q.dim() == 3 && k.sizes() == v.sizes() && q.size(1) % k.size(1) == 0 && q.size(2) == k.size(2), "shapes");
  AM_CHECK(plan.q_begin.size() == plan.k_begin.size() && plan.q_begin.back() == q.size(0) &&
               plan.k_begin.back() == k.size(0),
           "the borders end at {} and {}, the tensors have {} queries and {} keys", plan.q_begin.back(),
           plan.k_begin.back(), q.size(0), k.size(0));
  if (q.is_cuda()) return attention_gpu(q, k, v, plan);
  const auto why =
      why_not_fused({q.device().type(), q.scalar_type(), q.size(1), q.size(2), plan.dropout, plan.softcap});
  if (!why.empty()) return attention_reference(q, k, v, plan);
  // Narrower dtypes: the plain operations would keep the probabilities of all pairs of tokens.
  if (q.scalar_type() != at::kFloat)
    return attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), plan).to(q.scalar_type());
  if (!(q.is_contiguous() && k.is_contiguous() && v.is_contiguous())) return attention_reference(q, k, v, plan);
  const bool wants = q.requires_grad() || k.requires_grad() || v.requires_grad();
  if (!at::GradMode::is_enabled() || !wants) return forward_cpu(q, k, v, plan).o;
  return AttentionFunction::apply(q, k, v, &plan);
}

}  // namespace automodel::kernels
