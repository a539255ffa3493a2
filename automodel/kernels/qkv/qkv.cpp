#include "automodel/kernels/qkv/qkv.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "automodel/base/error.h"
#include "automodel/kernels/one_device.h"
#include "automodel/kernels/qkv/qkv_gpu.h"
#include "automodel/kernels/rms_norm/rms_norm.h"
#include "automodel/kernels/simd.h"

namespace automodel::kernels {

static at::Tensor rotate_reference(const at::Tensor& x_THD, const RopeTable& rope) {
  if (!rope.cos.defined()) return x_THD;
  const int64_t half = rope.cos.size(1);
  // The table is rounded to the dtype of x first, as transformers does.
  const auto cos = rope.cos.to(x_THD.scalar_type()).unsqueeze(1), sin = rope.sin.to(x_THD.scalar_type()).unsqueeze(1);
  const auto a = x_THD.narrow(2, 0, half), b = x_THD.narrow(2, half, half);
  std::vector<at::Tensor> parts = {a * cos - b * sin, b * cos + a * sin};
  if (x_THD.size(2) > 2 * half) parts.push_back(x_THD.narrow(2, 2 * half, x_THD.size(2) - 2 * half));
  return at::cat(parts, 2);
}

Qkv split_qkv_reference(const at::Tensor& qkv, QkvHeads heads, const QkNorm& norm, const RopeTable& rope) {
  const int64_t T = qkv.size(0), D = heads.head_dim, Q = heads.q_heads, K = heads.kv_heads;
  auto q = qkv.narrow(1, 0, Q * D).view({T, Q, D});
  auto k = qkv.narrow(1, Q * D, K * D).view({T, K, D});
  const auto v = qkv.narrow(1, (Q + K) * D, K * D).view({T, K, D}).contiguous();
  if (norm.q) q = rms_norm_reference(q, *norm.q, norm.eps, norm.plus_one);
  if (norm.k) k = rms_norm_reference(k, *norm.k, norm.eps, norm.plus_one);
  return {rotate_reference(q, rope).contiguous(), rotate_reference(k, rope).contiguous(), v};
}

namespace {

// One token's heads of one kind: x [heads, D] at stride D, its norm weight (or null) and the token's angles.
struct HeadRow {
  int64_t heads, D, half;
  const float* weight;
  float shift, eps;
};

AM_INLINE float head_rstd(const float* x, const HeadRow& row) {
  return 1.0f /
         std::sqrt(lane_sum(row.D, [&](int64_t i) { return x[i] * x[i]; }) / static_cast<float>(row.D) + row.eps);
}

AM_SIMD void forward_heads(const float* x, const HeadRow& row, const float* cos, const float* sin, float* y) {
  for (int64_t h = 0; h < row.heads; ++h, x += row.D, y += row.D) {
    if (row.weight) {
      const float rstd = head_rstd(x, row);
      for (int64_t i = 0; i < row.D; ++i) y[i] = x[i] * rstd * (row.weight[i] + row.shift);
    } else {
      for (int64_t i = 0; i < row.D; ++i) y[i] = x[i];
    }
    float* z = y + row.half;
    for (int64_t i = 0; i < row.half; ++i) {
      const float a = y[i], b = z[i];
      y[i] = a * cos[i] - b * sin[i];
      z[i] = b * cos[i] + a * sin[i];
    }
  }
}

// dy is rotated back, then goes through the norm's backward (see rms_norm.cpp); dw is the token chunk's partial sum or
// null.
AM_SIMD void backward_heads(const float* x, const HeadRow& row, const float* cos, const float* sin, const float* dy,
                            float* g, float* dx, float* dw) {
  for (int64_t h = 0; h < row.heads; ++h, x += row.D, dy += row.D, dx += row.D) {
    for (int64_t i = 0; i < row.D; ++i) g[i] = dy[i];
    float* z = g + row.half;
    for (int64_t i = 0; i < row.half; ++i) {
      const float a = dy[i], b = dy[row.half + i];
      g[i] = a * cos[i] + b * sin[i];
      z[i] = b * cos[i] - a * sin[i];
    }
    if (!row.weight) {
      for (int64_t i = 0; i < row.D; ++i) dx[i] = g[i];
      continue;
    }
    const float rstd = head_rstd(x, row);
    if (dw)
      for (int64_t i = 0; i < row.D; ++i) dw[i] += g[i] * x[i] * rstd;
    const float dot = lane_sum(row.D, [&](int64_t i) { return g[i] * (row.weight[i] + row.shift) * x[i]; });
    const float c = dot * rstd * rstd / static_cast<float>(row.D);
    for (int64_t i = 0; i < row.D; ++i) dx[i] = rstd * (g[i] * (row.weight[i] + row.shift) - x[i] * c);
  }
}

struct Shape {
  int64_t T, Q, K, D, half;
  bool plus_one;
  float eps;
  int64_t width() const { return (Q + 2 * K) * D; }
  HeadRow row(int64_t heads, Parameter* norm) const {
    return {heads, D, half, norm ? norm->value().const_data_ptr<float>() : nullptr, plus_one ? 1.0f : 0.0f, eps};
  }
};

constexpr int64_t kGrain = 32;

Qkv forward_cpu(const at::Tensor& qkv, const Shape& s, const QkNorm& norm, const at::Tensor& cos,
                const at::Tensor& sin) {
  Qkv out{at::empty({s.T, s.Q, s.D}, qkv.options()), at::empty({s.T, s.K, s.D}, qkv.options()),
          at::empty({s.T, s.K, s.D}, qkv.options())};
  const auto q_row = s.row(s.Q, norm.q), k_row = s.row(s.K, norm.k);
  const float *from = qkv.const_data_ptr<float>(), *c = s.half ? cos.const_data_ptr<float>() : nullptr,
              *n = s.half ? sin.const_data_ptr<float>() : nullptr;
  float *q = out.q.mutable_data_ptr<float>(), *k = out.k.mutable_data_ptr<float>(),
        *v = out.v.mutable_data_ptr<float>();
  at::parallel_for(0, s.T, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* x = from + t * s.width();
      forward_heads(x, q_row, c + t * s.half, n + t * s.half, q + t * s.Q * s.D);
      forward_heads(x + s.Q * s.D, k_row, c + t * s.half, n + t * s.half, k + t * s.K * s.D);
      std::copy_n(x + (s.Q + s.K) * s.D, s.K * s.D, v + t * s.K * s.D);
    }
  });
  return out;
}

struct SplitFunction : torch::autograd::Function<SplitFunction> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* ctx, const at::Tensor& qkv,
                                                const at::Tensor& anchor, const at::Tensor& cos, const at::Tensor& sin,
                                                const Shape& shape, const QkNorm& norm) {
    const bool keep = norm.q || norm.k;
    ctx->save_for_backward({keep ? qkv : at::Tensor(), cos, sin});
    auto& data = ctx->saved_data;
    data["T"] = shape.T, data["Q"] = shape.Q, data["K"] = shape.K, data["D"] = shape.D, data["half"] = shape.half;
    data["plus_one"] = shape.plus_one, data["eps"] = norm.eps;
    data["q_norm"] = reinterpret_cast<int64_t>(norm.q), data["k_norm"] = reinterpret_cast<int64_t>(norm.k);
    auto out = forward_cpu(qkv, shape, norm, cos, sin);
    return {out.q, out.k, out.v};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    auto& data = ctx->saved_data;
    const Shape s{data["T"].toInt(),
                  data["Q"].toInt(),
                  data["K"].toInt(),
                  data["D"].toInt(),
                  data["half"].toInt(),
                  data["plus_one"].toBool(),
                  static_cast<float>(data["eps"].toDouble())};
    auto* q_norm = reinterpret_cast<Parameter*>(data["q_norm"].toInt());
    auto* k_norm = reinterpret_cast<Parameter*>(data["k_norm"].toInt());
    const auto saved = ctx->get_saved_variables();
    const auto dq = grads[0].contiguous(), dk = grads[1].contiguous(), dv = grads[2].contiguous();
    auto d = at::empty({s.T, s.width()}, dq.options());
    const auto q_row = s.row(s.Q, q_norm), k_row = s.row(s.K, k_norm);
    // Partial sums per fixed chunk of tokens, then over chunks in order: independent of the number of threads.
    const int64_t chunk = std::max(kGrain, (s.T + 63) / 64), chunks = std::max<int64_t>(1, (s.T + chunk - 1) / chunk);
    const auto partial_q = at::zeros({chunks, q_norm ? s.D : 0}, dq.options());
    const auto partial_k = at::zeros({chunks, k_norm ? s.D : 0}, dq.options());
    const float *x = saved[0].defined() ? saved[0].const_data_ptr<float>() : nullptr,
                *cos = s.half ? saved[1].const_data_ptr<float>() : nullptr,
                *sin = s.half ? saved[2].const_data_ptr<float>() : nullptr;
    const float *gq = dq.const_data_ptr<float>(), *gk = dk.const_data_ptr<float>(), *gv = dv.const_data_ptr<float>();
    float *to = d.mutable_data_ptr<float>(), *wq = partial_q.mutable_data_ptr<float>(),
          *wk = partial_k.mutable_data_ptr<float>();
    at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(s.D);
      for (int64_t c = begin; c < end; ++c)
        for (int64_t t = c * chunk; t < std::min(s.T, (c + 1) * chunk); ++t) {
          const float *from = x ? x + t * s.width() : to, *ct = cos + t * s.half, *st = sin + t * s.half;
          float* out = to + t * s.width();
          backward_heads(from, q_row, ct, st, gq + t * s.Q * s.D, scratch.data(), out, q_norm ? wq + c * s.D : nullptr);
          backward_heads(from + s.Q * s.D, k_row, ct, st, gk + t * s.K * s.D, scratch.data(), out + s.Q * s.D,
                         k_norm ? wk + c * s.D : nullptr);
          std::copy_n(gv + t * s.K * s.D, s.K * s.D, out + (s.Q + s.K) * s.D);
        }
    });
    if (q_norm) q_norm->add_grad(at::sum(partial_q, {0}));
    if (k_norm) k_norm->add_grad(at::sum(partial_k, {0}));
    return {d, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

static void expect_one_device_of(const at::Tensor& qkv, const QkNorm& norm, const RopeTable& rope) {
  expect_one_device("split_qkv", {"qkv", qkv},
                    {{"norm.q", norm.q}, {"norm.k", norm.k}, {"rope.cos", rope.cos}, {"rope.sin", rope.sin}});
}

Qkv split_qkv(const at::Tensor& qkv, QkvHeads heads, const QkNorm& norm, const RopeTable& rope) {
  expect_one_device_of(qkv, norm, rope);
  if (has_split_qkv_gpu(qkv, norm)) return split_qkv_gpu(qkv, heads, norm, rope, false);
  const bool fused = qkv.device().is_cpu() && qkv.scalar_type() == at::kFloat && qkv.is_contiguous();
  if (!fused) return split_qkv_reference(qkv, heads, norm, rope);
  const auto none = at::empty({0}, qkv.options());
  const auto& cos = rope.cos.defined() ? rope.cos : none;
  const auto& sin = rope.cos.defined() ? rope.sin : none;
  const Shape shape{qkv.size(0),
                    heads.q_heads,
                    heads.kv_heads,
                    heads.head_dim,
                    rope.cos.defined() ? rope.cos.size(1) : 0,
                    norm.plus_one,
                    static_cast<float>(norm.eps)};
  AM_CHECK(qkv.size(1) == shape.width(), "qkv has {} columns, heads need {}", qkv.size(1), shape.width());
  const bool trains = (norm.q && norm.q->trainable) || (norm.k && norm.k->trainable);
  if (!at::GradMode::is_enabled() || (!trains && !qkv.requires_grad())) return forward_cpu(qkv, shape, norm, cos, sin);
  const auto out = SplitFunction::apply(qkv, gradient_anchor(), cos, sin, shape, norm);
  return {out[0], out[1], out[2]};
}

Qkv split_qkv_in_place(const at::Tensor& qkv, QkvHeads heads, const QkNorm& norm, const RopeTable& rope) {
  expect_one_device_of(qkv, norm, rope);
  if (has_split_qkv_gpu(qkv, norm)) return split_qkv_gpu(qkv, heads, norm, rope, true);
  return split_qkv(qkv, heads, norm, rope);
}

}  // namespace automodel::kernels
