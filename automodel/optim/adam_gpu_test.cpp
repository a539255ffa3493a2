#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/optim/adam.h"
#include "automodel/optim/gradient.h"
#include "automodel/tensor/testing.h"

namespace automodel::optim {
namespace {

class AdamOnGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test_device().is_cuda()) GTEST_SKIP() << "needs a GPU (tests/gpu/run)";
    kernels::require_cuda("AUTOMODEL_TEST_DEVICE");
  }
};

const std::vector<std::vector<int64_t>> kShapes = {{33, 7}, {128, 64}, {5}};

std::vector<ParameterPtr> make_parameters(at::Device device, at::ScalarType dtype) {
  std::vector<ParameterPtr> parameters;
  for (size_t i = 0; i < kShapes.size(); ++i) {
    parameters.push_back(std::make_shared<Parameter>("weight" + std::to_string(i), kShapes[i], dtype, Init{}));
    parameters.back()->set_value(random_tensor(kShapes[i], i, dtype).to(device));
  }
  return parameters;
}

void set_gradients(const std::vector<ParameterPtr>& parameters, uint64_t step) {
  for (size_t i = 0; i < parameters.size(); ++i)
    parameters[i]->add_grad([&](at::Tensor& grad, double) { grad.copy_(random_tensor(kShapes[i], 10 * step + i)); });
}

TEST_F(AdamOnGpu, TakesTheStepsOfTheCpuWithClipping) {
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const bool decoupled : {true, false}) {
      const auto ours = make_parameters(test_device(), dtype), cpu = make_parameters(at::kCPU, dtype);
      Adam gpu_adam(ours, {.decoupled = decoupled}), cpu_adam(cpu, {.decoupled = decoupled});
      for (uint64_t step = 1; step <= 4; ++step) {
        set_gradients(ours, step);
        set_gradients(cpu, step);
        cpu_adam.step(1e-2, 0.1, clip_gradients(cpu, 1.0));
        gpu_adam.step(1e-2, 0.1, clip_gradients(ours, 1.0));
        gpu_adam.clear_grads();
        cpu_adam.clear_grads();
      }
      const auto states = gpu_adam.state_tensors(), expected = cpu_adam.state_tensors();
      for (const auto& [name, tensor] : expected) EXPECT_TRUE(is_close(states.at(name).cpu(), tensor, 1e-5)) << name;
      for (size_t i = 0; i < ours.size(); ++i)
        EXPECT_TRUE(is_close(ours[i]->value().cpu(), cpu[i]->value(), dtype == at::kFloat ? 1e-5 : 0x1p-7));
    }
}

TEST_F(AdamOnGpu, LeavesEverythingWhereAGradientIsNotFinite) {
  const auto parameters = make_parameters(test_device(), at::kBFloat16);
  Adam adam(parameters, {});
  set_gradients(parameters, 1);
  parameters[1]->mutable_grad()[3].fill_(INFINITY);
  const auto before = parameters[0]->value().clone();
  const auto norm = clip_gradients(parameters, 1.0);
  adam.step(1e-2, 0.1, norm);
  EXPECT_TRUE(parameters[0]->value().equal(before));
  EXPECT_EQ(adam.state().at("weight0").step.item<float>(), 0);
  parameters[1]->mutable_grad().fill_(0);  // the message comes from what the norm kept
  try {
    read_norm(norm, 7);
    FAIL() << "not noticed";
  } catch (const NumericError& error) {
    EXPECT_EQ(std::string(error.what()).find("step 7: gradient of weight1"), 0u) << error.what();
  }
}

}  // namespace
}  // namespace automodel::optim
