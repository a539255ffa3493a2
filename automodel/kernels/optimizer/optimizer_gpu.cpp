#include "automodel/kernels/optimizer/optimizer_gpu.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <cstddef>
#include <tuple>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/one_device.h"

namespace automodel::kernels {
namespace {

void* data_of(const at::Tensor& x) { return x.defined() ? x.mutable_data_ptr() : nullptr; }

const cuda::GradientStats* stats_of(const at::Tensor& stats) {
  return stats.defined() ? reinterpret_cast<const cuda::GradientStats*>(stats.const_data_ptr<uint8_t>()) : nullptr;
}

}  // namespace

GradientSums sum_gradients(const std::vector<at::Tensor>& gradients, double max_norm, const at::Tensor& loss_scale) {
  AM_CHECK(!gradients.empty(), "no gradients");
  std::vector<cuda::NormTensor> tensors;
  for (const auto& gradient : gradients) {
    expect_one_device("sum_gradients", {"gradient", gradients[0]},
                      {{"gradient", gradient}, {"loss_scale", loss_scale}});
    AM_CHECK(gradient.is_contiguous(), "a gradient is not contiguous");
    tensors.push_back({gradient.const_data_ptr(), gradient.numel(), cuda_dtype(gradient)});
  }
  const auto count = static_cast<int64_t>(tensors.size());
  const auto options = gradients[0].options();
  GradientSums sums{
      at::empty({static_cast<int64_t>(sizeof(cuda::GradientStats))}, options.dtype(at::kByte)),
      at::empty({std::max<int64_t>(1, cuda::norm_partials(tensors.data(), count))}, options.dtype(at::kDouble))};
  const CudaLaunch on(gradients[0]);
  on(cuda_table().optimizer.norm(
      {.tensors = tensors.data(),
       .count = count,
       .partial = sums.partial.mutable_data_ptr<double>(),
       .stats = reinterpret_cast<cuda::GradientStats*>(sums.stats.mutable_data_ptr<uint8_t>()),
       .max_norm = static_cast<float>(max_norm),
       .loss_scale = loss_scale.defined() ? loss_scale.const_data_ptr<float>() : nullptr},
      on.stream()));
  return sums;
}

at::Tensor norm_of(const at::Tensor& stats) {
  constexpr int64_t kPlace = offsetof(cuda::GradientStats, norm) / sizeof(float);
  return stats.view(at::kFloat).select(0, kPlace).to(at::kDouble);
}

size_t first_bad_tensor(const std::vector<at::Tensor>& gradients, const at::Tensor& partial) {
  const auto sums = partial.cpu();
  const double* next = sums.const_data_ptr<double>();
  for (size_t i = 0; i < gradients.size(); ++i)
    for (int64_t begin = 0; begin < gradients[i].numel(); begin += cuda::kNormChunk)
      if (!std::isfinite(*next++)) return i;
  return gradients.size();
}

bool has_adam_update(at::ScalarType weight, at::ScalarType grad, at::ScalarType state, cuda::Master master) {
  using cuda::Master;
  const bool known = weight == at::kFloat || weight == at::kBFloat16 || weight == at::kHalf;
  const bool fits =
      weight == at::kBFloat16 || master == Master::None || (weight == at::kHalf && master == Master::Full);
  return known && fits && (grad == weight || grad == at::kFloat) && (state == at::kFloat || state == at::kBFloat16);
}

void adam_update(const std::vector<AdamItem>& items, const AdamRule& rule, const at::Tensor& stats) {
  if (items.empty()) return;
  std::map<std::tuple<cuda::DType, cuda::DType, cuda::DType>, std::vector<cuda::AdamTensor>> groups;
  std::vector<float*> steps;
  for (const auto& item : items) {
    expect_one_device("adam_update", {"weight", items[0].weight},
                      {{"weight", item.weight},
                       {"low", item.low},
                       {"grad", item.grad},
                       {"m", item.m},
                       {"v", item.v},
                       {"v_max", item.v_max},
                       {"step", item.step},
                       {"stats", stats}});
    AM_CHECK(item.weight.is_contiguous() && item.grad.is_contiguous() && item.m.is_contiguous(), "not contiguous");
    groups[{cuda_dtype(item.weight), cuda_dtype(item.grad), cuda_dtype(item.m)}].push_back(
        {.weight = data_of(item.weight),
         .low = data_of(item.low),
         .grad = item.grad.const_data_ptr(),
         .m = data_of(item.m),
         .v = data_of(item.v),
         .v_max = data_of(item.v_max),
         .step = item.step.const_data_ptr<float>(),
         .count = item.weight.numel(),
         .lr = static_cast<float>(item.lr),
         .decay = static_cast<float>(item.decay),
         .key = item.key});
    steps.push_back(item.step.mutable_data_ptr<float>());
  }
  const CudaLaunch on(items[0].weight);
  for (const auto& [dtypes, tensors] : groups) {
    const auto& [weight, grad, state] = dtypes;
    on(cuda_table().optimizer.adam({.tensors = tensors.data(),
                                    .count = static_cast<int64_t>(tensors.size()),
                                    .weight = weight,
                                    .grad = grad,
                                    .state = state,
                                    .master = weight == cuda::DType::Float ? cuda::Master::None : rule.master,
                                    .stats = stats_of(stats),
                                    .seed = rule.seed,
                                    .beta1 = rule.beta1,
                                    .beta2 = rule.beta2,
                                    .eps = static_cast<float>(rule.eps),
                                    .decoupled = rule.decoupled,
                                    .maximize = rule.maximize,
                                    .amsgrad = rule.amsgrad},
                                   on.stream()));
  }
  on(cuda_table().optimizer.adam_steps(
      {.steps = steps.data(), .count = static_cast<int64_t>(steps.size()), .stats = stats_of(stats)}, on.stream()));
}

}  // namespace automodel::kernels
