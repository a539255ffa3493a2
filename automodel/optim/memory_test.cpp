#include "automodel/optim/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"

namespace automodel::optim {
namespace {

std::vector<ParameterPtr> two_weights(at::ScalarType dtype) {
  auto frozen = std::make_shared<Parameter>("frozen", std::vector<int64_t>{1000}, dtype, Init{});
  frozen->trainable = false;
  auto trained = std::make_shared<Parameter>("trained", std::vector<int64_t>{10, 10}, dtype, Init{});
  return {frozen, trained, trained};  // a tied weight is one
}

TEST(TrainingMemory, CountsWeightsOnceAndStatesOfTrainedOnes) {
  AdamSettings settings;
  auto memory = training_memory(two_weights(at::kBFloat16), settings);
  EXPECT_EQ(memory.weights, 1100 * 2);
  EXPECT_EQ(memory.gradients, 100 * 4);
  EXPECT_EQ(memory.optimizer, 100 * (4 + 4 + 4));  // m, v and the master
  settings.state_dtype = at::kBFloat16;
  memory = training_memory(two_weights(at::kBFloat16), settings);
  EXPECT_EQ(memory.gradients, 100 * 2);
  EXPECT_EQ(memory.total(), 1100 * 2 + 100 * 2 + 100 * (2 + 2));
}

TEST(TrainingMemory, TooMuchIsRefusedWithWhatWouldFit) {
  const auto parameters = two_weights(at::kBFloat16);
  const auto needed = training_memory(parameters, {}).total();
  require_memory(parameters, {}, needed, "gpu");
  try {
    require_memory(parameters, {}, needed - 1, "gpu");
    FAIL() << "was not refused";
  } catch (const SystemError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::StartsWith("gpu: weights 2.15 KiB"),
                                             testing::HasSubstr("before the first batch"), testing::HasSubstr("peft:"),
                                             testing::HasSubstr("master_weights: split makes it 3.52 KiB"),
                                             testing::HasSubstr("bfloat16 makes it")));
  }
}

}  // namespace
}  // namespace automodel::optim
