// What models/activations.h says a microbatch takes, against what a step took, counted at libtorch's own allocator.
#include "automodel/models/activations.h"

#include "automodel/peft/lora.h"
#include "automodel/tensor/counted_memory.h"
#include "automodel/tensor/testing.h"
#include "tests/parity/golden.h"

namespace automodel::parity {
namespace {

struct Case {
  models::DecoderSpec spec;
  std::unique_ptr<nn::Model> model;
};

// The shapes of a golden case with eight layers and without dropout.
Case deep_case(const std::string& name, bool adapters, double attention_dropout = 0) {
  const auto where = (golden_folder() / name / "config.json").string();
  Case made{models::read_config(load_json(where), where), nullptr};
  made.spec.embedding.dropout = 0;
  for (auto& layer : made.spec.layers) layer.residual_dropout = 0, layer.attention.dropout = attention_dropout;
  const auto layers = made.spec.layers;
  for (size_t i = layers.size(); i < 8; ++i) made.spec.layers.push_back(layers[i % layers.size()]);
  made.model = models::build(made.spec, at::kFloat);
  if (adapters) peft::apply_lora(*made.model, {.match_all_linear = true, .rank = 4, .alpha = 8});
  uint64_t key = 0;
  for (const auto& parameter : made.model->parameters())
    parameter->set_value(random_tensor(parameter->shape(), ++key) * 0.1f);
  return made;
}

class Activations : public CountedMemory {
 protected:
  void SetUp() override {
    if (!test_device().is_cpu())
      GTEST_SKIP()
          << "held to the CPU's allocator; a GPU's memory is counted by kind in whole runs (MemoryAdvice.IsWhatARun*)";
  }
  // Bytes above what lies there before the step, at the worst moment of one step.
  static int64_t peak_of_a_step(nn::Model& model, const Batch& batch, engine::Recompute recompute) {
    engine::Engine engine(model, recompute);
    const auto step = [&] {
      Context context;
      context.training = true;
      context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
      engine.forward_backward(batch, context);
      for (const auto& parameter : model.parameters()) parameter->clear_grad();
    };
    step();  // the gradients' buffers stay
    const int64_t start = live_bytes;
    peak_bytes = start;
    step();
    return peak_bytes - start;
  }
};

TEST_F(Activations, TakeWhatIsSaid) {
  for (const std::string name : {"llama", "mistral_window", "qwen2", "qwen3", "phi3", "gemma3", "gpt2"})
    for (const bool adapters : {false, true}) {
      const auto [spec, model] = deep_case(name, adapters);
      if (spec.layers[0].mlp.activation == kernels::Activation::Gelu) continue;  // plain operations keep more
      const int64_t length = std::min<int64_t>(spec.max_positions, 256);
      const auto vocab = static_cast<int32_t>(spec.embedding.vocab);
      std::vector<std::vector<int32_t>> ids(static_cast<size_t>(1024 / length));
      for (auto& document : ids)
        for (int32_t t = 0; t < length; ++t) document.push_back(t * 7 % vocab);
      const auto batch = make_batch(ids);
      for (const auto recompute : {nn::Recompute::None, nn::Recompute::Selective, nn::Recompute::Full}) {
        const auto said = models::activation_memory(spec, *model, {batch.tokens(), length}, recompute);
        const auto counted = static_cast<double>(peak_of_a_step(*model, batch, recompute));
        const double ratio = static_cast<double>(said.total()) / counted;
        // A CPU's plain operations (gpt2's norms) keep a little more, and its products copy what they sum over: where
        // little else lies there it shows.
        const double allowed = recompute == nn::Recompute::Full ? 0.25 : name == "gpt2" ? 0.08 : 0.05;
        EXPECT_NEAR(ratio, 1, allowed) << name << (adapters ? ", adapters" : "") << ", choice "
                                       << static_cast<int>(recompute) << ": said " << said.kept << " + " << said.passing
                                       << ", counted " << counted;
      }
    }
}

// Where the plain operations compute attention, pairs of tokens lie there in every layer.
TEST_F(Activations, TakeWhatIsSaidOfPairsOfTokens) {
  for (const auto recompute : {nn::Recompute::None, nn::Recompute::Selective, nn::Recompute::Full})
    for (const int64_t length : {128, 256}) {
      const auto [spec, model] = deep_case("qwen3", false, 0.1);
      std::vector<std::vector<int32_t>> ids(static_cast<size_t>(1024 / length),
                                            std::vector<int32_t>(static_cast<size_t>(length), 5));
      const auto batch = make_batch(ids);
      const auto said = models::activation_memory(spec, *model, {batch.tokens(), length}, recompute);
      const auto counted = static_cast<double>(peak_of_a_step(*model, batch, recompute));
      EXPECT_NEAR(static_cast<double>(said.total()) / counted, 1, recompute == nn::Recompute::Full ? 0.25 : 0.08)
          << "length " << length << ", choice " << static_cast<int>(recompute) << ": said " << said.kept << " + "
          << said.passing << ", counted " << counted;
    }
}

}  // namespace
}  // namespace automodel::parity
