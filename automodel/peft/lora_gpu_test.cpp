#include <ATen/ops/cat.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/nn/toy_model.h"
#include "automodel/peft/lora.h"

namespace automodel::peft {
namespace {

// The same model twice: in bf16 on the GPU, where adapters are columns of the base's products, and in fp32 on the CPU.
struct Twins {
  std::unique_ptr<nn::Model> gpu, cpu;

  Twins(const nn::ToyOptions& toy, const LoraOptions& options)
      : gpu(nn::make_toy_model(toy, at::kBFloat16)), cpu(nn::make_toy_model(toy)) {
    for (auto* model : {gpu.get(), cpu.get()}) apply_lora(*model, options);
    const auto ours = gpu->parameters(), theirs = cpu->parameters();
    for (size_t i = 0; i < ours.size(); ++i) {
      const auto values = (random_tensor(ours[i]->shape(), 100 + i) * 0.3).to(at::kBFloat16);
      ours[i]->set_value(values.to(test_device(), ours[i]->dtype()));
      theirs[i]->set_value(values.to(at::kCPU, at::kFloat));
    }
  }
};

double loss_of(nn::Model& model, const Batch& batch) {
  Context context;
  context.training = true, context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
  for (const auto& parameter : model.parameters()) parameter->clear_grad();
  auto flow = model.embedding->forward({}, batch, context);
  for (const auto& layer : model.layers) flow = layer->forward(std::move(flow), batch, context);
  flow = model.head->forward(std::move(flow), batch, context);
  flow.losses.at(0).value.backward();
  return flow.losses.at(0).value.item<double>();
}

void expect_equal_gradients(const Twins& twins) {
  const auto ours = adapter_parameters(*twins.gpu), theirs = adapter_parameters(*twins.cpu);
  for (size_t i = 0; i < ours.size(); ++i) {
    const auto truth = theirs[i]->grad().to(at::kDouble);
    const auto error = (ours[i]->grad().to(at::kCPU, at::kDouble) - truth).norm() / truth.norm();
    EXPECT_LT(error.item<double>(), 0.04) << ours[i]->name();  // roundings of bf16 through three layers
  }
}

TEST(LoraOnGpu, TrainsAsTheCpuDoes) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: models with adapters on a GPU were not tested";
  kernels::require_cuda("AUTOMODEL_TEST_DEVICE");
  const auto batch = nn::toy_batch({5, 1, 64, 33, 150}, 61);
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
          const double ours = loss_of(*twins.gpu, batch.to(test_device())), theirs = loss_of(*twins.cpu, batch);
          EXPECT_NEAR(ours, theirs, 0.01 * theirs);
          expect_equal_gradients(twins);
          // An optimizer changes the adapters: the next step must see it.
          for (const auto* model : {twins.gpu.get(), twins.cpu.get()})
            for (const auto& parameter : adapter_parameters(*model)) parameter->value().mul_(0.5);
        }
        for (Lora* lora : adapters(*twins.gpu))
          EXPECT_EQ(lora->view().weight->value().stride(0), lora->a()->shape()[1] + lora->input_padding())
              << "the adapters are no columns of the base";
      }
}

// The plain way: dropout and DoRA keep the adapters out of the base's product. Masks are those of the CPU, so the fp32
// model there is still the truth.
void expect_plain_ways(const LoraOptions& options) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: models with adapters on a GPU were not tested";
  kernels::require_cuda("AUTOMODEL_TEST_DEVICE");
  const auto batch = nn::toy_batch({5, 1, 64, 33, 150}, 61);
  for (const bool bias : {false, true}) {
    SCOPED_TRACE(testing::Message() << "bias " << bias);
    const nn::ToyOptions toy{
        .hidden = 64, .vocab = 61, .heads = 4, .kv_heads = 2, .head_dim = 16, .inner = 96, .bias = bias};
    const Twins twins(toy, options);
    for (int step = 0; step < 2; ++step) {
      const double ours = loss_of(*twins.gpu, batch.to(test_device())), theirs = loss_of(*twins.cpu, batch);
      EXPECT_NEAR(ours, theirs, 0.01 * theirs);
      expect_equal_gradients(twins);
      for (const auto* model : {twins.gpu.get(), twins.cpu.get()})
        for (const auto& parameter : adapter_parameters(*model)) parameter->value().mul_(0.5);
    }
  }
}

TEST(LoraOnGpu, DropsTheElementsThatTheCpuDrops) {
  for (const bool before : {false, true}) {
    SCOPED_TRACE(before ? "dropout before" : "dropout after");
    expect_plain_ways({.rank = 8, .alpha = 4, .dropout = 0.3, .dropout_before = before});
  }
}

TEST(LoraOnGpu, TrainsDoraAsTheCpuDoes) {
  expect_plain_ways({.rank = 8, .alpha = 4, .dora = true});
  for (const bool before : {false, true}) {
    SCOPED_TRACE(before ? "dropout before" : "dropout after");
    expect_plain_ways({.rank = 8, .alpha = 4, .dropout = 0.3, .dropout_before = before, .dora = true});
  }
}

TEST(LoraOnGpu, TakesAdaptersOfAnotherDtype) { expect_plain_ways({.rank = 8, .alpha = 4, .dtype = at::kFloat}); }

}  // namespace
}  // namespace automodel::peft
