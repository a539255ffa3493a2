// What stays in memory between forward and backward, counted at libtorch's own allocator, the GPU's where the tests run
// there.
#include <c10/core/CachingDeviceAllocator.h>

#include "automodel/engine/engine.h"
#include "automodel/nn/toy_model.h"
#include "automodel/tensor/counted_memory.h"

namespace automodel::engine {
namespace {

class Memory : public CountedMemory {
 protected:
  static c10::CachingDeviceAllocator::DeviceStats stats() {
    return at::getDeviceAllocator(test_device().type())->getDeviceStats(test_device().index());
  }
  static constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  static int64_t live() { return test_device().is_cpu() ? live_bytes.load() : stats().allocated_bytes[kAll].current; }
  static int64_t peak() { return test_device().is_cpu() ? peak_bytes.load() : stats().allocated_bytes[kAll].peak; }
  static void forget_peak() {
    peak_bytes = live_bytes.load();
    if (test_device().is_cuda()) at::getDeviceAllocator(test_device().type())->resetPeakStats(test_device().index());
  }

  // Bytes above what lies there before the step, at the worst moment of one step.
  static int64_t peak_of_a_step(int64_t layers, int64_t tokens, Recompute recompute) {
    const auto model = nn::make_toy_model(
        {.layers = layers, .hidden = 64, .vocab = 31, .heads = 4, .kv_heads = 2, .head_dim = 16, .inner = 128});
    const auto batch = nn::toy_batch({tokens / 2, tokens - tokens / 2});
    Engine engine(*model, recompute);
    const auto step = [&] {
      Context context;
      context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
      engine.forward_backward(batch, context);
      for (const auto& parameter : model->parameters()) parameter->clear_grad();
    };
    step();  // the gradients' buffers stay
    const int64_t start = live();
    forget_peak();
    step();
    EXPECT_EQ(live(), start) << "a step left memory behind";
    return peak() - start;
  }
};

TEST_F(Memory, OfFullRecomputationGrowsByOneInputALayer) {
  const int64_t tokens = 512, hidden_bytes = tokens * 64 * 4;
  const int64_t of_8 = peak_of_a_step(8, tokens, Recompute::Full), of_32 = peak_of_a_step(32, tokens, Recompute::Full);
  const double a_layer = static_cast<double>(of_32 - of_8) / 24 / static_cast<double>(hidden_bytes);
  RecordProperty("inputs_a_layer", std::to_string(a_layer));
  EXPECT_GE(a_layer, 0.99);
  EXPECT_LE(a_layer, 1.02);
  const double without =
      static_cast<double>(peak_of_a_step(32, tokens, Recompute::None) - peak_of_a_step(8, tokens, Recompute::None)) /
      24;
  RecordProperty("without_recomputation", std::to_string(without / static_cast<double>(hidden_bytes)));
  EXPECT_GT(without, 5 * static_cast<double>(hidden_bytes));  // so the measure sees what a graph keeps
}

}  // namespace
}  // namespace automodel::engine
