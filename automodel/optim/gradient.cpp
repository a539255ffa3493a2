#include "automodel/optim/gradient.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
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

[[noreturn]] void report_not_finite(const std::vector<ParameterPtr>& parameters, int64_t step) {
  for (const auto& parameter : parameters) {
    if (!parameter->grad().defined()) continue;
    for (const auto& slice : parameter->slices()) {
      const auto grad = Parameter::view(parameter->grad(), slice);
      const int64_t bad = grad.numel() - at::isfinite(grad).sum().item<int64_t>();
      if (bad == 0) continue;
      const int64_t nan = at::isnan(grad).sum().item<int64_t>();
      throw NumericError(
          fmt::format("step {}: gradient of {}", step, slice.name),
          fmt::format("{} of {} values are not finite ({} NaN, {} infinite); the weights were not updated", bad,
                      grad.numel(), nan, bad - nan),
          "lower the learning rate or lengthen the warm-up, clip gradients (clip_grad_norm.max_norm), and look at the "
          "data of "
          "this step");
    }
  }
  throw NumericError(fmt::format("step {}", step), "the gradient norm is not finite although every gradient is");
}

}  // namespace

std::vector<ParameterPtr> distinct_trainable(const std::vector<ParameterPtr>& parameters) {
  std::unordered_set<const Parameter*> seen;
  std::vector<ParameterPtr> distinct;
  for (const auto& parameter : parameters)
    if (parameter->trainable && seen.insert(parameter.get()).second) distinct.push_back(parameter);
  return distinct;
}

double gradient_norm(const std::vector<ParameterPtr>& parameters, int64_t step) {
  at::NoGradGuard guard;
  const auto distinct = distinct_trainable(parameters);
  double total = 0;
  std::vector<at::Tensor> norms;  // of what is not summed here
  for (const auto& parameter : distinct) {
    const auto& grad = parameter->grad();
    if (!grad.defined() || grad.numel() == 0) continue;
    if (grad.is_cpu() && grad.scalar_type() == at::kFloat && grad.is_contiguous())
      total += square_sum_on_cpu(grad);
    else
      norms.push_back(at::linalg_vector_norm(grad, 2, at::OptionalIntArrayRef(), false, at::kDouble));
  }
  if (!norms.empty()) {
    const double norm = at::linalg_vector_norm(at::stack(norms)).item<double>();
    total += norm * norm;
  }
  if (!std::isfinite(total)) report_not_finite(distinct, step);
  return std::sqrt(total);
}

at::Tensor gradient_stats(const std::vector<ParameterPtr>& parameters, double max_norm) {
  std::vector<at::Tensor> grads;
  for (const auto& parameter : distinct_trainable(parameters))
    if (parameter->grad().defined()) grads.push_back(parameter->grad());
  return kernels::gradient_stats(grads, max_norm);
}

double clip_factor(double norm, double max_norm) {
  AM_CHECK(max_norm > 0, "{}", max_norm);
  return std::min(1.0, max_norm / (norm + 1e-6));
}

void scale_gradients(const std::vector<ParameterPtr>& parameters, double factor) {
  if (factor == 1.0) return;
  at::NoGradGuard guard;
  std::vector<at::Tensor> grads;
  for (const auto& parameter : distinct_trainable(parameters))
    if (parameter->grad().defined()) grads.push_back(parameter->grad());
  if (!grads.empty()) at::_foreach_mul_(grads, factor);
}

double clip_gradients(const std::vector<ParameterPtr>& parameters, double max_norm, int64_t step) {
  const double norm = gradient_norm(parameters, step);
  if (max_norm > 0) scale_gradients(parameters, clip_factor(norm, max_norm));
  return norm;
}

}  // namespace automodel::optim
