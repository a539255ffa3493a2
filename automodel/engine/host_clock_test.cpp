#include "automodel/engine/host_clock.h"

#include <gtest/gtest.h>

#include <thread>

#include "automodel/engine/engine.h"
#include "automodel/nn/toy_model.h"

namespace automodel::engine {
namespace {

TEST(HostClock, CountsAStepWithoutTheWaitsAroundItsBlocks) {
  const auto model = nn::make_toy_model({.layers = 3});
  const auto batch = nn::toy_batch({5, 7});
  int waits = 0;
  HostClock clock([&] {
    ++waits;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  Engine engine(*model, Recompute::None, &clock);
  const auto began = std::chrono::steady_clock::now();
  clock.start();
  Context context;
  context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
  engine.forward_backward(batch, context);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // what is done between blocks counts
  const double host = clock.milliseconds();
  const std::chrono::duration<double, std::milli> whole = std::chrono::steady_clock::now() - began;
  const auto blocks = static_cast<int>(model->row().size());
  EXPECT_EQ(waits, 1 + 4 * blocks);  // before the step; before and after each block, forward and backward
  EXPECT_GE(host, 5);
  EXPECT_LE(host, whole.count() - 20 * waits);
  clock.start();
  EXPECT_LT(clock.milliseconds(), host);
}

}  // namespace
}  // namespace automodel::engine
