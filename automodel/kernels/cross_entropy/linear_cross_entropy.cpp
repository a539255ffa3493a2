#include "automodel/kernels/cross_entropy/linear_cross_entropy.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/nonzero_static.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/kernels/one_device.h"
#include "automodel/kernels/product/product.h"
#include "automodel/kernels/simd.h"
#include "automodel/tensor/batch.h"

namespace automodel::kernels {

// A GPU takes labels from the host too, as a copy.
static void expect_one_device_of(const char* op, const at::Tensor& hidden, Parameter& weight, Parameter* bias,
                                 const at::Tensor& labels, const at::Tensor& gradient_scale = {}) {
  expect_one_device(op, {"hidden", hidden},
                    {{"weight", weight},
                     {"bias", bias},
                     {"labels", hidden.is_cpu() ? labels : at::Tensor()},
                     {"gradient_scale", gradient_scale}});
}

static at::Tensor raw_logits(const at::Tensor& hidden, Parameter& weight, Parameter* bias) {
  auto logits = product(hidden, weight.value());
  if (bias) logits.add_(bias->value());
  return logits.to(at::kFloat);
}

at::Tensor head_logits(const at::Tensor& hidden, Parameter& weight, Parameter* bias,
                       const CrossEntropyOptions& options) {
  at::NoGradGuard guard;
  expect_one_device_of("head_logits", hidden, weight, bias, {});
  auto logits = raw_logits(hidden, weight, bias);
  if (options.logit_scale != 1) logits.mul_(options.logit_scale);
  if (options.softcap > 0) logits.div_(options.softcap).tanh_().mul_(options.softcap);
  return logits;
}

at::Tensor linear_cross_entropy_reference(const at::Tensor& hidden, Parameter& weight, Parameter* bias,
                                          const at::Tensor& labels, double scale, const CrossEntropyOptions& options) {
  auto logits = at::matmul(hidden, differentiable(weight).t());
  if (bias) logits = logits + differentiable(*bias);
  logits = logits.to(at::kFloat) * options.logit_scale;
  if (options.softcap > 0) logits = at::tanh(logits / options.softcap) * options.softcap;
  const auto trained = labels.ne(kIgnoreLabel).to(at::kFloat);
  const auto log_p = at::log_softmax(logits, -1);
  const auto picked = log_p.gather(1, labels.clamp_min(0).unsqueeze(1)).squeeze(1);
  auto loss = -picked * (1 - options.label_smoothing) - log_p.mean(-1) * options.label_smoothing;
  if (options.z_loss > 0) {
    const auto lse = at::logsumexp(logits, -1);
    loss = loss + options.z_loss * lse * lse;
  }
  return at::sum(loss * trained) * scale;
}

int64_t logits_chunk_rows(int64_t V, bool gpu) {
  return gpu ? std::max<int64_t>(1024, (int64_t{512} << 20) / (2 * V))
             : std::max<int64_t>(16, (int64_t{32} << 20) / (4 * V));
}

namespace {

struct RowOptions {
  int64_t V;
  float scale, softcap, logit_scale, smoothing, z_loss;
};

// One row of raw logits: returns the loss; with `gradient`, the row becomes d loss / d raw logits (times scale).
AM_SIMD double row_loss(float* x, int64_t label, const RowOptions& o, bool gradient) {
  const int64_t V = o.V;
  if (o.logit_scale != 1.0f)
    for (int64_t j = 0; j < V; ++j) x[j] *= o.logit_scale;
  if (o.softcap > 0)
    for (int64_t j = 0; j < V; ++j) x[j] = o.softcap * tanh_fast(x[j] / o.softcap);
  const float top = lane_max(V, [&](int64_t j) { return x[j]; });
  const float sum = lane_sum(V, [&](int64_t j) { return exp_fast(x[j] - top); });
  const double lse = static_cast<double>(top) + std::log(static_cast<double>(sum));
  double loss = (1.0 - o.smoothing) * (lse - x[label]) + o.z_loss * lse * lse;
  if (o.smoothing > 0)
    loss += o.smoothing * (lse - lane_sum(V, [&](int64_t j) { return x[j]; }) / static_cast<double>(V));
  if (!gradient) return loss;
  // d loss / d x_j = p_j (1 + 2 z lse) - (1 - s) [j == label] - s / V, then through softcap and scale.
  const float weight = (1.0f + 2.0f * o.z_loss * static_cast<float>(lse)) / sum,
              spread = o.smoothing / static_cast<float>(V);
  const float cap = o.softcap > 0 ? 1.0f / (o.softcap * o.softcap) : 0.0f, factor = o.scale * o.logit_scale;
  const float at_label = x[label];
  if (o.softcap > 0) {
    for (int64_t j = 0; j < V; ++j)
      x[j] = (exp_fast(x[j] - top) * weight - spread) * factor * (1.0f - x[j] * x[j] * cap);
  } else {
    for (int64_t j = 0; j < V; ++j) x[j] = (exp_fast(x[j] - top) * weight - spread) * factor;
  }
  x[label] -= (1.0f - o.smoothing) * factor * (1.0f - at_label * at_label * cap);
  return loss;
}

// Fills losses[r]; logits [R, V] fp32 contiguous.
void rows_loss(at::Tensor& logits, const int64_t* labels, const RowOptions& options, bool gradient, double* losses) {
  float* x = logits.mutable_data_ptr<float>();
  at::parallel_for(0, logits.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) losses[r] = row_loss(x + r * options.V, labels[r], options, gradient);
  });
}

// `scale` is that of the gradient; on a GPU its kernel reads gradient_scale itself.
RowOptions row_options(const Parameter& weight, double scale, const CrossEntropyOptions& o) {
  const auto& factor = o.gradient_scale;
  return {weight.shape()[0],
          static_cast<float>(factor.defined() && factor.is_cpu() ? scale * factor.item<double>() : scale),
          static_cast<float>(o.softcap),
          static_cast<float>(o.logit_scale),
          static_cast<float>(o.label_smoothing),
          static_cast<float>(o.z_loss)};
}

int64_t chunk_rows(const Parameter& weight, const CrossEntropyOptions& options, bool gpu) {
  return options.chunk_tokens > 0 ? options.chunk_tokens : logits_chunk_rows(weight.shape()[0], gpu);
}

void check_labels(const at::Tensor& labels, int64_t V) {
  const auto* label = labels.const_data_ptr<int64_t>();
  for (int64_t r = 0; r < labels.numel(); ++r)
    if (label[r] < 0 || label[r] >= V)
      throw DataError(fmt::format("label {}", label[r]), fmt::format("is outside the vocabulary of {}", V),
                      "the tokenizer does not fit the model's embedding");
}

// On a GPU the rows that are trained are picked out if their number is known, since the host must not wait for a count;
// else all pass through the head, and those that are not trained get zeros. Logits are in the dtype of hidden, their
// gradient takes their place; losses stay on the device.
struct GpuHead {
  at::Tensor loss, dx;
  at::Tensor rows;  // of hidden that dx belongs to; undefined: all
};

at::Tensor chunk_losses_gpu(at::Tensor& logits, const at::Tensor& labels, const RowOptions& row, bool gradient,
                            const at::Tensor& factor = {}) {
  auto losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  const CudaLaunch on(logits);
  on(cuda_table().cross_entropy.softmax_loss({.dtype = cuda_dtype(logits),
                                              .rows = logits.size(0),
                                              .columns = row.V,
                                              .logits = logits.mutable_data_ptr(),
                                              .stride = row.V,
                                              .labels = labels.const_data_ptr<int64_t>(),
                                              .loss = losses.mutable_data_ptr<float>(),
                                              .lse = nullptr,
                                              .ignore = kIgnoreLabel,
                                              .scale = row.scale,
                                              .softcap = row.softcap,
                                              .logit_scale = row.logit_scale,
                                              .smoothing = row.smoothing,
                                              .z_loss = row.z_loss,
                                              .gradient = gradient,
                                              .factor = factor.defined() ? factor.const_data_ptr<float>() : nullptr},
                                             on.stream()));
  return losses;
}

GpuHead head_gpu(const at::Tensor& hidden, Parameter& weight, Parameter* bias, const at::Tensor& given_labels,
                 double scale, const CrossEntropyOptions& options, bool gradient) {
  auto x = hidden.contiguous(), labels = given_labels.to(hidden.device()).contiguous();
  GpuHead out{at::zeros({}, x.options().dtype(at::kDouble)), {}, {}};
  if (options.trained_tokens >= 0 && options.trained_tokens < labels.numel()) {
    out.rows = at::nonzero_static(labels.ne(kIgnoreLabel), options.trained_tokens).squeeze(1);
    x = at::index_select(x, 0, out.rows), labels = at::index_select(labels, 0, out.rows);
  }
  if (gradient && hidden.requires_grad()) out.dx = at::empty_like(x);
  const auto row = row_options(weight, scale, options);
  const int64_t step = chunk_rows(weight, options, true);
  for (int64_t begin = 0; begin < x.size(0); begin += step) {
    const int64_t n = std::min(step, x.size(0) - begin);
    const auto part = x.narrow(0, begin, n);
    auto logits = product(part, weight.value());
    if (bias) logits.add_(bias->value());
    out.loss.add_(at::sum(chunk_losses_gpu(logits, labels.narrow(0, begin, n), row, gradient, options.gradient_scale),
                          {0}, false, at::kDouble));
    if (!gradient) continue;
    if (out.dx.defined()) {
      auto dx = out.dx.narrow(0, begin, n);
      at::mm_out(dx, logits, weight.value());
    }
    weight.add_grad([&](at::Tensor& grad, double beta) { accumulate_outer(grad, beta, logits, part); });
    if (bias) bias->add_grad(at::sum(logits, {0}, false, at::kFloat));
  }
  out.loss = (out.loss * scale).to(at::kFloat);
  return out;
}

at::Tensor token_log_probs_gpu(const at::Tensor& hidden, Parameter& weight, Parameter* bias,
                               const at::Tensor& given_labels, CrossEntropyOptions options) {
  options.label_smoothing = options.z_loss = 0;
  const auto labels = given_labels.to(hidden.device()).contiguous();
  auto out = at::zeros({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  const int64_t step = options.chunk_tokens > 0 ? options.chunk_tokens : 1024;
  for (int64_t begin = 0; begin < hidden.size(0); begin += step) {
    const int64_t n = std::min(step, hidden.size(0) - begin);
    auto logits = raw_logits(hidden.narrow(0, begin, n), weight, bias);
    out.narrow(0, begin, n)
        .sub_(chunk_losses_gpu(logits, labels.narrow(0, begin, n), row_options(weight, 1, options), false));
  }
  return out;
}

struct HeadFunction : torch::autograd::Function<HeadFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& anchor,
                            Parameter* weight, Parameter* bias, const at::Tensor& labels, double scale,
                            const CrossEntropyOptions& options, bool gradient) {
    if (hidden.is_cuda()) {
      auto head = head_gpu(hidden, *weight, bias, labels, scale, options, gradient);
      ctx->saved_data["tokens"] = hidden.size(0);
      ctx->save_for_backward({head.dx, head.rows});
      return head.loss;
    }
    const auto rows = at::nonzero(labels.ne(kIgnoreLabel)).squeeze(1);
    const bool all = rows.numel() == labels.numel();
    const auto x = all ? hidden : at::index_select(hidden, 0, rows);
    const auto y = (all ? labels : at::index_select(labels, 0, rows)).contiguous();
    check_labels(y, weight->shape()[0]);
    const bool wants_dx = gradient && hidden.requires_grad();
    auto dx = wants_dx ? at::empty_like(x) : at::Tensor();
    const auto row = row_options(*weight, scale, options);
    std::vector<double> losses(static_cast<size_t>(x.size(0)));
    const int64_t step = chunk_rows(*weight, options, false);
    for (int64_t begin = 0; begin < x.size(0); begin += step) {
      const int64_t n = std::min(step, x.size(0) - begin);
      const auto part = x.narrow(0, begin, n);
      auto logits = raw_logits(part, *weight, bias);
      rows_loss(logits, y.const_data_ptr<int64_t>() + begin, row, gradient, losses.data() + begin);
      if (!gradient) continue;
      const auto d = logits.to(x.scalar_type());
      if (wants_dx) {
        dx.narrow(0, begin, n).copy_(product(d, weight->value().t()));
      }
      weight->add_grad([&](at::Tensor& grad, double beta) { accumulate_outer(grad, beta, d, part); });
      if (bias) bias->add_grad(at::sum(logits, {0}));
    }
    double total = 0;
    for (const double loss : losses) total += loss;
    ctx->saved_data["tokens"] = hidden.size(0);
    ctx->save_for_backward({dx, all ? at::Tensor() : rows});
    return at::scalar_tensor(total * scale, hidden.options().dtype(at::kFloat));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    at::Tensor dx = saved[0];
    if (dx.defined()) {
      if (dx.is_cpu()) {  // nothing is read back from a GPU
        const double factor = grads[0].item<double>();
        AM_CHECK(factor == 1, "the head's gradient was made for a factor of 1, not {}", factor);
      }
      if (saved[1].defined()) {
        auto full = at::zeros({ctx->saved_data["tokens"].toInt(), dx.size(1)}, dx.options());
        full.index_copy_(0, saved[1], dx);
        dx = full;
      }
    }
    return {dx, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, Parameter& weight, Parameter* bias, const at::Tensor& labels,
                                double scale, const CrossEntropyOptions& options) {
  expect_one_device_of("linear_cross_entropy", hidden, weight, bias, labels, options.gradient_scale);
  const bool gradient =
      at::GradMode::is_enabled() && (hidden.requires_grad() || weight.trainable || (bias && bias->trainable));
  const at::AutoGradMode mode(gradient);  // without anything to train there is no graph
  return HeadFunction::apply(hidden, gradient_anchor(), &weight, bias, labels, scale, options, gradient);
}

at::Tensor token_log_probs(const at::Tensor& hidden, Parameter& weight, Parameter* bias, const at::Tensor& given_labels,
                           const CrossEntropyOptions& options) {
  at::NoGradGuard guard;
  expect_one_device_of("token_log_probs", hidden, weight, bias, given_labels);
  if (hidden.is_cuda()) return token_log_probs_gpu(hidden, weight, bias, given_labels, options);
  const auto labels = given_labels.contiguous();
  check_labels(labels.masked_select(labels.ne(kIgnoreLabel)), weight.shape()[0]);
  auto out = at::zeros({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  float* to = out.mutable_data_ptr<float>();
  const auto* label = labels.const_data_ptr<int64_t>();
  auto plain = options;
  plain.label_smoothing = plain.z_loss = 0;
  const auto row = row_options(weight, 1, plain);
  const int64_t step = chunk_rows(weight, options, false);
  std::vector<int64_t> targets;
  std::vector<double> losses;
  for (int64_t begin = 0; begin < hidden.size(0); begin += step) {
    const int64_t n = std::min(step, hidden.size(0) - begin);
    targets.assign(label + begin, label + begin + n);
    for (auto& target : targets) target = target == kIgnoreLabel ? 0 : target;
    losses.resize(static_cast<size_t>(n));
    auto logits = raw_logits(hidden.narrow(0, begin, n), weight, bias);
    rows_loss(logits, targets.data(), row, false, losses.data());
    for (int64_t r = 0; r < n; ++r)
      if (label[begin + r] != kIgnoreLabel) to[begin + r] = static_cast<float>(-losses[static_cast<size_t>(r)]);
  }
  return out;
}

}  // namespace automodel::kernels
