#include "automodel/optim/memory.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace automodel::optim
