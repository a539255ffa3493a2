// On a GPU, in bf16, with the kernels that training takes: what runs again in the backward changes no bit.
#include "automodel/kernels/cuda/library.h"
#include "automodel/peft/lora.h"
#include "automodel/tensor/testing.h"
#include "tests/parity/golden.h"

namespace automodel::parity {
namespace {

// The shapes of a golden case, all widths of which the kernels take, with random weights on the GPU.
std::unique_ptr<nn::Model> model_on_gpu(const std::string& name, bool adapters) {
  const auto where = (golden_folder() / name / "config.json").string();
  auto model = models::build(models::read_config(load_json(where), where, {at::kBFloat16, {}}), at::kBFloat16);
  model->device = test_device();
  if (adapters) peft::apply_lora(*model, {.match_all_linear = true, .rank = 8, .alpha = 16});
  uint64_t key = 0;
  for (const auto& parameter : model->parameters())
    parameter->set_value((random_tensor(parameter->shape(), ++key) * 0.3).to(at::kBFloat16));
  return model;
}

std::map<std::string, at::Tensor> gradients(nn::Model& model, const Batch& batch, engine::Recompute recompute) {
  for (const auto& parameter : model.parameters()) parameter->clear_grad();
  Context context;
  context.training = true;
  context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
  std::map<std::string, at::Tensor> found;
  found["loss"] = engine::Engine(model, recompute).forward_backward(batch, context);
  for (const auto& parameter : model.parameters())
    if (parameter->grad().defined()) found[parameter->name()] = parameter->grad().clone();
  return found;
}

TEST(RecomputeOnGpu, ChangesNoBit) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: recomputation on a GPU was not tested";
  kernels::require_cuda("AUTOMODEL_TEST_DEVICE");
  auto& settings = at::globalContext();
  settings.setDeterministicAlgorithms(true, false);
  for (const auto& name : cases_with("batch.json"))
    for (const bool adapters : {false, true}) {
      SCOPED_TRACE(name + (adapters ? " with adapters" : ""));
      const auto model = model_on_gpu(name, adapters);
      const auto batch = load_batch(golden_folder() / name / "batch.json").to(model->device);
      const auto plain = gradients(*model, batch, engine::Recompute::None);
      EXPECT_GT(plain.size(), 4u);
      for (const auto recompute : {engine::Recompute::None, engine::Recompute::Selective, engine::Recompute::Full}) {
        const auto found = gradients(*model, batch, recompute);
        EXPECT_EQ(found.size(), plain.size());
        for (const auto& [tensor, value] : plain)
          EXPECT_TRUE(found.at(tensor).equal(value)) << tensor << " by choice " << static_cast<int>(recompute);
      }
    }
  settings.setDeterministicAlgorithms(false, false);
}

}  // namespace
}  // namespace automodel::parity
