#include "tests/gpu/twins.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/tensor/testing.h"

namespace automodel::gpu {

namespace {
constexpr double kUnit = 0x1p-8, kSpread = 6;

// On the CPU models are so small that they only lose on several threads, most of all on a busy machine.
const bool kOneThread = [] {
  if (test_device().is_cpu()) at::set_num_threads(1);
  return true;
}();
}  // namespace

void require_gpu() { kernels::require_cuda("AUTOMODEL_TEST_DEVICE"); }

Tensors to_cpu(Tensors tensors) {
  for (auto& [name, tensor] : tensors) tensor = tensor.cpu();
  return tensors;
}

std::unique_ptr<nn::Model> make_twin(const nn::Model& from, const Build& build, at::ScalarType dtype,
                                     at::Device device) {
  if (device.is_cuda()) require_gpu();
  auto twin = build(dtype);
  const auto theirs = from.parameters(), ours = twin->parameters();
  AM_CHECK(theirs.size() == ours.size(), "{} and {} parameters", theirs.size(), ours.size());
  for (size_t i = 0; i < ours.size(); ++i) ours[i]->set_value(theirs[i]->value().to(device, dtype, false, true));
  twin->device = ours.front()->value().device();  // with its index
  return twin;
}

void disturb_weights(nn::Model& model) {
  const at::NoGradGuard guard;
  auto generator = at::globalContext().defaultGenerator(model.parameters().front()->value().device()).clone();
  generator.set_current_seed(3);
  for (const auto& parameter : model.parameters()) {
    const auto& value = parameter->value();
    value.mul_(at::empty_like(value).uniform_(1 - kUnit, 1 + kUnit, generator));
  }
}

Tensors run(nn::Model& model, const Batch& batch, engine::Recompute recompute) {
  auto found = parity::run(model, batch.to(model.device), recompute);
  for (auto& [name, tensor] : found) tensor = tensor.detach().to(at::kFloat);
  for (const auto& parameter : model.parameters()) parameter->drop_grad();
  return found;
}

static double norm(const at::Tensor& x) { return x.to(at::kDouble).norm().item<double>(); }

std::map<std::string, double> bf16_errors(const Tensors& found, const Tensors& disturbed, const Tensors& truth) {
  std::map<std::string, double> errors;
  for (const auto& [name, expected] : truth) {
    const auto ours = found.find(name);
    double& error = errors[name] = std::numeric_limits<double>::infinity();
    if (ours == found.end() || ours->second.sizes() != expected.sizes()) continue;
    const double moved = norm(disturbed.at(name).to(expected.device()) - expected), size = norm(expected);
    const double allowed = kSpread * moved + 2 * kUnit * size + 1e-30;
    const double ratio = norm(ours->second.to(expected.device()) - expected) / allowed;
    if (ratio == ratio) error = ratio;
  }
  return errors;
}

void expect_within_rounding(const Tensors& found, const Tensors& disturbed, const Tensors& truth) {
  EXPECT_EQ(found.size(), truth.size());
  std::string worst;
  double most = 0;
  for (const auto& [name, error] : bf16_errors(found, disturbed, truth)) {
    EXPECT_LE(error, 1) << name << " of norm " << norm(truth.at(name));
    if (error > most) most = error, worst = name;
  }
  std::printf("  worst %s: %.2f of what is allowed\n", worst.c_str(), most);
}

void expect_bf16_follows(const nn::Model& fp32, const Build& build, const Batch& batch) {
  const auto reference = make_twin(fp32, build, at::kFloat, fp32.device);
  const auto truth = run(*reference, batch);
  disturb_weights(*reference);
  const auto disturbed = run(*reference, batch);
  const auto bf16 = make_twin(fp32, build, at::kBFloat16, fp32.device);
  expect_within_rounding(run(*bf16, batch), disturbed, truth);
}

}  // namespace automodel::gpu
