// What stays in memory between forward and backward, counted at libtorch's own allocator.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstdlib>

#include "automodel/engine/engine.h"
#include "automodel/nn/toy_model.h"

namespace automodel::engine {
namespace {

std::atomic<int64_t> live_bytes{0}, peak_bytes{0};
constexpr size_t kHeader = 64;  // holds the size; keeps the alignment

void count(int64_t bytes) {
  const int64_t now = live_bytes += bytes;
  int64_t peak = peak_bytes;
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
  }
}

void give_back(void* data) {
  if (!data) return;
  auto* start = static_cast<char*>(data) - kHeader;
  count(-static_cast<int64_t>(*reinterpret_cast<size_t*>(start)));
  std::free(start);
}

struct CountingAllocator : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    auto* start = static_cast<char*>(std::aligned_alloc(kHeader, kHeader + (bytes + kHeader - 1) / kHeader * kHeader));
    *reinterpret_cast<size_t*>(start) = bytes;
    count(static_cast<int64_t>(bytes));
    return {start + kHeader, start + kHeader, give_back, at::Device(at::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

class Memory : public testing::Test {
 protected:
  Memory() : before_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(&counting_, 1); }
  ~Memory() override { c10::SetCPUAllocator(before_, 1); }

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
    const int64_t start = live_bytes;
    peak_bytes = start;
    step();
    EXPECT_EQ(live_bytes, start) << "a step left memory behind";
    return peak_bytes - start;
  }

 private:
  static CountingAllocator counting_;  // outlives every tensor made through it
  c10::Allocator* before_;
};
CountingAllocator Memory::counting_;

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
