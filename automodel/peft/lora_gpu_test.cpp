#include <ATen/ops/cat.h>

#include <set>

#include "automodel/nn/toy_model.h"
#include "automodel/peft/lora.h"

namespace automodel::peft {
namespace {

// The same model twice: in bf16 on the GPU (or another device), where adapters are columns of the base's products, and
// in fp32 on the CPU.
struct Twins {
  std::unique_ptr<nn::Model> gpu, cpu;

  Twins(nn::ToyOptions toy, const LoraOptions& options, at::Device device = test_device()) {
    toy.device = device;
    gpu = nn::make_toy_model(toy, at::kBFloat16);
    toy.device = at::kCPU;
    cpu = nn::make_toy_model(toy);
    for (auto* model : {gpu.get(), cpu.get()}) apply_lora(*model, options);
    const auto ours = gpu->parameters(), theirs = cpu->parameters();
    for (size_t i = 0; i < ours.size(); ++i) {
      const auto values = (random_tensor(ours[i]->shape(), 100 + i) * 0.3).to(at::kBFloat16);
      ours[i]->set_value(values.to(device, ours[i]->dtype()));
      theirs[i]->set_value(values.to(at::kCPU, at::kFloat));
    }
  }
};

bool has_node(const at::Tensor& y, std::string_view name) {
  std::vector<const torch::autograd::Node*> left = {y.grad_fn().get()};
  std::set<const torch::autograd::Node*> seen;
  while (!left.empty()) {
    const auto* node = left.back();
    left.pop_back();
    if (!node || !seen.insert(node).second) continue;
    if (node->name().find(name) != std::string::npos) return true;
    for (const auto& edge : node->next_edges()) left.push_back(edge.function.get());
  }
  return false;
}

// `one_mlp`: whether MLPs ran as the one function that the GPU has for adapters on all their linears.
double loss_of(nn::Model& model, const Batch& batch, std::optional<bool> one_mlp = {}) {
  Context context;
  context.training = true, context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
  for (const auto& parameter : model.parameters()) parameter->clear_grad();
  auto flow = model.embedding->forward({}, batch, context);
  for (const auto& layer : model.layers) flow = layer->forward(std::move(flow), batch, context);
  flow = model.head->forward(std::move(flow), batch, context);
  if (one_mlp) EXPECT_EQ(has_node(flow.losses.at(0).value, "MlpFunction"), *one_mlp);
  flow.losses.at(0).value.backward();
  return flow.losses.at(0).value.item<double>();
}

std::vector<double> gradient_errors(const Twins& twins) {
  const auto ours = adapter_parameters(*twins.gpu), theirs = adapter_parameters(*twins.cpu);
  std::vector<double> errors;
  for (size_t i = 0; i < ours.size(); ++i) {
    const auto truth = theirs[i]->grad().to(at::kDouble);
    const auto error = (ours[i]->grad().to(at::kCPU, at::kDouble) - truth).norm() / truth.norm();
    errors.push_back(error.item<double>());
  }
  return errors;
}

// `rounding`: what bf16 itself costs each of them, where it is known.
void expect_equal_gradients(const Twins& twins, const std::vector<double>& rounding = {}) {
  const auto parameters = adapter_parameters(*twins.gpu);
  const auto errors = gradient_errors(twins);
  for (size_t i = 0; i < errors.size(); ++i)  // 0.04: roundings of bf16 through three layers
    EXPECT_LT(errors[i], 0.04 + (rounding.empty() ? 0 : 2 * rounding[i])) << parameters[i]->name();
}

void halve_adapters(const Twins& twins) {
  for (const auto* model : {twins.gpu.get(), twins.cpu.get()})
    for (const auto& parameter : adapter_parameters(*model)) parameter->value().mul_(0.5);
}

TEST(LoraOnGpu, TrainsAsTheCpuDoes) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: models with adapters on a GPU were not tested";
  const auto batch = nn::toy_batch({5, 1, 64, 33, 150}, 61, at::kCPU);
  for (const int64_t rank : {8, 17, 64})
    for (const bool qk_norm : {false, true})
      for (const bool bias : {false, true}) {
        SCOPED_TRACE(testing::Message() << "rank " << rank << " qk_norm " << qk_norm << " bias " << bias);
        const nn::ToyOptions toy{.hidden = 64,
                                 .vocab = 61,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 16,
                                 .inner = 96,
                                 .bias = bias,
                                 .qk_norm = qk_norm};
        const Twins twins(toy, {.rank = rank, .alpha = 4});
        for (int step = 0; step < 2; ++step) {
          const double ours = loss_of(*twins.gpu, batch.to(test_device()), rank <= 16 && !bias);
          const double theirs = loss_of(*twins.cpu, batch);
          EXPECT_NEAR(ours, theirs, 0.01 * theirs);
          expect_equal_gradients(twins);
          halve_adapters(twins);  // as an optimizer changes them: the next step must see it
        }
        for (Lora* lora : adapters(*twins.gpu))
          EXPECT_EQ(lora->view().weight->value().stride(0), lora->a()->shape()[1] + lora->input_padding())
              << "the adapters are no columns of the base";
      }
}

// Dropout after the adapters is a pass of their own, before them and DoRA keep them out of the base's product. Masks
// are those of the CPU, so the fp32 model there is still the truth. DoRA's norms cost bf16 up to 0.18: what the CPU's
// own bf16 loses is allowed twice.
void expect_other_ways(const LoraOptions& options) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: models with adapters on a GPU were not tested";
  const auto batch = nn::toy_batch({5, 1, 64, 33, 150}, 61, at::kCPU);
  for (const bool bias : {false, true}) {
    SCOPED_TRACE(testing::Message() << "bias " << bias);
    const nn::ToyOptions toy{
        .hidden = 64, .vocab = 61, .heads = 4, .kv_heads = 2, .head_dim = 16, .inner = 96, .bias = bias};
    const Twins twins(toy, options), on_cpu(toy, options, at::kCPU);
    for (int step = 0; step < 2; ++step) {
      const double ours = loss_of(*twins.gpu, batch.to(test_device())), theirs = loss_of(*twins.cpu, batch);
      EXPECT_NEAR(ours, theirs, 0.01 * theirs);
      loss_of(*on_cpu.gpu, batch), loss_of(*on_cpu.cpu, batch);
      expect_equal_gradients(twins, gradient_errors(on_cpu));
      halve_adapters(twins), halve_adapters(on_cpu);
    }
  }
}

TEST(LoraOnGpu, DropsTheElementsThatTheCpuDrops) {
  for (const bool before : {false, true}) {
    SCOPED_TRACE(before ? "dropout before" : "dropout after");
    expect_other_ways({.rank = 8, .alpha = 4, .dropout = 0.3, .dropout_before = before});
  }
}

TEST(LoraOnGpu, TrainsDoraAsTheCpuDoes) {
  expect_other_ways({.rank = 8, .alpha = 4, .dora = true});
  for (const bool before : {false, true}) {
    SCOPED_TRACE(before ? "dropout before" : "dropout after");
    expect_other_ways({.rank = 8, .alpha = 4, .dropout = 0.3, .dropout_before = before, .dora = true});
  }
}

TEST(LoraOnGpu, TakesAdaptersOfAnotherDtype) { expect_other_ways({.rank = 8, .alpha = 4, .dtype = at::kFloat}); }

}  // namespace
}  // namespace automodel::peft
