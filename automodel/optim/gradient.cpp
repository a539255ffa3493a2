#include "automodel/optim/gradient.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <unordered_set>

#include "automodel/base/error.h"
#include "automodel/kernels/optimizer/optimizer_gpu.h"

namespace automodel::optim {
namespace {

constexpr int64_t kBlock = 1 << 14;  // elements whose squares one thread sums

// Eight running sums: without them the additions wait for each other (and the compiler may not reorder them itself).
double square_sum(const float* x, int64_t count) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int j = 0; j < 8; ++j) sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  for (; i < count; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

double square_sum_on_cpu(const at::Tensor& grad) {
  const float* data = grad.const_data_ptr<float>();
  const int64_t count = grad.numel();
  std::vector<double> sums(static_cast<size_t>((count + kBlock - 1) / kBlock));
  at::parallel_for(0, static_cast<int64_t>(sums.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      sums[static_cast<size_t>(b)] = square_sum(data + b * kBlock, std::min(kBlock, count - b * kBlock));
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

std::vector<at::Tensor> gradients_of(const std::vector<ParameterPtr>& parameters) {
  std::vector<at::Tensor> grads;
  for (const auto& parameter : parameters) grads.push_back(parameter->grad());
  return grads;
}

constexpr const char* kHint =
    "lower the learning rate or lengthen the warm-up, clip gradients (clip_grad_norm.max_norm), and look at the data "
    "of "
    "this step";

// On the CPU the gradients are still those of the step, so the message can count.
[[noreturn]] void report_not_finite(const GradientNorm& norm, int64_t step) {
  if (norm.partial.defined()) {
    const auto bad = kernels::first_bad_tensor(gradients_of(norm.parameters), norm.partial);
    throw NumericError(fmt::format("step {}: gradient of {}", step, norm.parameters.at(bad)->name()),
                       "its norm is not finite; the weights were not updated", kHint);
  }
  for (const auto& parameter : norm.parameters) {
    for (const auto& slice : parameter->slices()) {
      const auto grad = Parameter::view(parameter->grad(), slice);
      const int64_t bad = grad.numel() - at::isfinite(grad).sum().item<int64_t>();
      if (bad == 0) continue;
      const int64_t nan = at::isnan(grad).sum().item<int64_t>();
      throw NumericError(
          fmt::format("step {}: gradient of {}", step, slice.name),
          fmt::format("{} of {} values are not finite ({} NaN, {} infinite); the weights were not updated", bad,
                      grad.numel(), nan, bad - nan),
          kHint);
    }
  }
  throw NumericError(fmt::format("step {}", step), "the gradient norm is not finite although every gradient is");
}

double norm_on_cpu(const std::vector<at::Tensor>& grads) {
  double total = 0;
  for (const auto& grad : grads) {
    if (grad.scalar_type() == at::kFloat && grad.is_contiguous()) {
      total += square_sum_on_cpu(grad);
    } else {
      const double norm = at::linalg_vector_norm(grad, 2, at::OptionalIntArrayRef(), false, at::kDouble).item<double>();
      total += norm * norm;
    }
  }
  return std::sqrt(total);
}

}  // namespace

std::vector<ParameterPtr> distinct_trainable(const std::vector<ParameterPtr>& parameters) {
  std::unordered_set<const Parameter*> seen;
  std::vector<ParameterPtr> distinct;
  for (const auto& parameter : parameters)
    if (parameter->trainable && seen.insert(parameter.get()).second) distinct.push_back(parameter);
  return distinct;
}

GradientNorm clip_gradients(const std::vector<ParameterPtr>& parameters, double max_norm,
                            const at::Tensor& loss_scale) {
  at::NoGradGuard guard;
  GradientNorm norm;
  for (const auto& parameter : distinct_trainable(parameters))
    if (parameter->grad().defined() && parameter->numel() > 0) norm.parameters.push_back(parameter);
  const auto grads = gradients_of(norm.parameters);
  if (grads.empty() || grads.front().is_cpu()) {
    const double unscale = loss_scale.defined() ? 1 / loss_scale.item<double>() : 1;
    const double total = norm_on_cpu(grads) * unscale;
    norm.total = at::scalar_tensor(total, at::kDouble);
    const double factor = (max_norm > 0 ? clip_factor(total, max_norm) : 1) * unscale;
    if (factor != 1 && std::isfinite(total)) at::_foreach_mul_(grads, factor);
  } else {
    const auto sums = kernels::sum_gradients(grads, max_norm, loss_scale);
    norm.stats = sums.stats, norm.partial = sums.partial;
    norm.total = kernels::norm_of(sums.stats);
  }
  return norm;
}

double read_norm(const GradientNorm& norm, int64_t step) {
  const double total = norm.total.item<double>();
  if (!std::isfinite(total)) report_not_finite(norm, step);
  return total;
}

double clip_factor(double norm, double max_norm) {
  AM_CHECK(max_norm > 0, "{}", max_norm);
  return std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace automodel::optim
