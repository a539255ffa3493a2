#include "automodel/kernels/rms_norm/rms_norm.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "automodel/kernels/one_device.h"
#include "automodel/kernels/simd.h"

namespace automodel::kernels {

at::Tensor rms_norm_reference(const at::Tensor& x, Parameter& weight, double eps, bool plus_one) {
  const auto wide = x.to(at::kFloat);
  const auto normal = wide * at::rsqrt(at::mean(wide * wide, {-1}, true) + eps);
  if (plus_one) return (normal * (1.0 + differentiable(weight).to(at::kFloat))).to(x.scalar_type());
  return differentiable(weight) * normal.to(x.scalar_type());
}

// Legend: R rows, D columns.
AM_SIMD static void forward_rows(const float* x, const float* w, float shift, float eps, int64_t begin, int64_t end,
                                 int64_t D, float* y) {
  for (int64_t r = begin; r < end; ++r) {
    const float* row = x + r * D;
    float* out = y + r * D;
    const float rstd =
        1.0f / std::sqrt(lane_sum(D, [&](int64_t i) { return row[i] * row[i]; }) / static_cast<float>(D) + eps);
    for (int64_t i = 0; i < D; ++i) out[i] = row[i] * rstd * (w[i] + shift);
  }
}

// dx = rstd * (g - xhat * mean(g * xhat)) with g = dy * w and xhat = x * rstd; dw += dy * xhat.
AM_SIMD static void backward_rows(const float* x, const float* w, float shift, float eps, const float* dy,
                                  int64_t begin, int64_t end, int64_t D, float* dx, float* dw) {
  for (int64_t r = begin; r < end; ++r) {
    const float *row = x + r * D, *grad = dy + r * D;
    float* out = dx + r * D;
    const float inverse = 1.0f / static_cast<float>(D);
    const float rstd = 1.0f / std::sqrt(lane_sum(D, [&](int64_t i) { return row[i] * row[i]; }) * inverse + eps);
    const float dot = lane_sum(D, [&](int64_t i) { return grad[i] * (w[i] + shift) * row[i]; });
    const float c = dot * rstd * rstd * inverse;
    for (int64_t i = 0; i < D; ++i) out[i] = rstd * (grad[i] * (w[i] + shift) - row[i] * c);
    if (dw)
      for (int64_t i = 0; i < D; ++i) dw[i] += grad[i] * row[i] * rstd;
  }
}

static constexpr int64_t kGrain = 64;  // rows a task takes at least

static at::Tensor forward_cpu(const at::Tensor& x, const at::Tensor& w, double eps, bool plus_one) {
  auto y = at::empty_like(x);
  const int64_t D = x.size(-1), rows = D > 0 ? x.numel() / D : 0;
  const float *from = x.const_data_ptr<float>(), *scale = w.const_data_ptr<float>();
  float* to = y.mutable_data_ptr<float>();
  at::parallel_for(0, rows, kGrain, [&](int64_t begin, int64_t end) {
    forward_rows(from, scale, plus_one ? 1.0f : 0.0f, static_cast<float>(eps), begin, end, D, to);
  });
  return y;
}

namespace {
struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const at::Tensor& anchor,
                            Parameter* weight, double eps, bool plus_one) {
    ctx->save_for_backward({x});
    ctx->saved_data["weight"] = reinterpret_cast<int64_t>(weight);
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["plus_one"] = plus_one;
    return forward_cpu(x, weight->value(), eps, plus_one);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    auto* weight = reinterpret_cast<Parameter*>(ctx->saved_data["weight"].toInt());
    const auto x = ctx->get_saved_variables()[0];
    const auto dy = grads[0].contiguous();
    const float eps = static_cast<float>(ctx->saved_data["eps"].toDouble());
    const float shift = ctx->saved_data["plus_one"].toBool() ? 1.0f : 0.0f;
    const int64_t D = x.size(-1), rows = D > 0 ? x.numel() / D : 0;
    auto dx = at::empty_like(x);
    // The weight's gradient is summed per fixed chunk of rows, then over chunks in order: the result does not depend on
    // threads.
    const int64_t chunk = std::max(kGrain, (rows + 63) / 64), chunks = (rows + chunk - 1) / chunk;
    auto dw = weight->trainable ? at::zeros({std::max<int64_t>(chunks, 1), D}, x.options()) : at::Tensor();
    const auto value = weight->value();
    const float *from = x.const_data_ptr<float>(), *w = value.const_data_ptr<float>(),
                *grad = dy.const_data_ptr<float>();
    float *to = dx.mutable_data_ptr<float>(), *partial = dw.defined() ? dw.mutable_data_ptr<float>() : nullptr;
    at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c)
        backward_rows(from, w, shift, eps, grad, c * chunk, std::min(rows, (c + 1) * chunk), D, to,
                      partial ? partial + c * D : nullptr);
    });
    if (dw.defined()) weight->add_grad(at::sum(dw, {0}));
    return {dx, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};
}  // namespace

at::Tensor rms_norm(const at::Tensor& x, Parameter& weight, double eps, bool plus_one) {
  expect_one_device("rms_norm", {"x", x}, {{"weight", weight}});
  if (const NormSettings norm{.weight = &weight, .eps = eps, .plus_one = plus_one}; has_norm_gpu(x, norm))
    return norm_gpu(x, norm);
  const bool fused = x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
  if (!fused) return rms_norm_reference(x, weight, eps, plus_one);
  if (!at::GradMode::is_enabled() || (!x.requires_grad() && !weight.trainable))
    return forward_cpu(x, weight.value(), eps, plus_one);
  return RmsNormFunction::apply(x, gradient_anchor(), &weight, eps, plus_one);
}

PassNorm pass_rms_norm(const at::Tensor& x, Parameter& weight, double eps, bool plus_one, int64_t padding) {
  if (const NormSettings norm{.weight = &weight, .eps = eps, .plus_one = plus_one, .row_padding = padding};
      has_norm_gpu(x, norm))
    return pass_norm_gpu(x, norm);
  return {x, rms_norm(x, weight, eps, plus_one)};
}

}  // namespace automodel::kernels
