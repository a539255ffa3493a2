// A policy that takes every big weight away outside of acquire and release, and spoils what anybody kept of it: each
// family's losses and gradients stay what they are, so no function keeps a weight's tensor between forward and
// backward.
#include "tests/parity/golden.h"

namespace automodel::parity {
namespace {

class Streaming : public nn::BlockPolicy {
 public:
  explicit Streaming(nn::Model& model) {
    for (const auto& parameter : model.parameters()) take(*parameter);
  }
  void acquire(nn::Block& block) override {
    for (const auto& parameter : big(block))
      if (held_[parameter.get()]++ == 0) parameter->set_value(store_.at(parameter.get()).clone());
  }
  void release(nn::Block& block) override {
    for (const auto& parameter : big(block))
      if (--held_[parameter.get()] == 0) take(*parameter);
  }
  bool balanced() const {
    return std::all_of(held_.begin(), held_.end(), [](const auto& held) { return held.second == 0; });
  }

 private:
  // Norms and biases of layer norms are small and may stay in the graph.
  static std::vector<ParameterPtr> big(nn::Block& block) {
    std::vector<ParameterPtr> all;
    block.collect(all);
    std::erase_if(all, [](const auto& parameter) { return parameter->shape().size() < 2; });
    return all;
  }
  void take(Parameter& parameter) {
    if (parameter.shape().size() < 2) return;
    store_[&parameter] = parameter.value().clone();
    parameter.value().fill_(NAN);
    parameter.set_value({});
  }
  std::map<Parameter*, at::Tensor> store_;
  std::map<Parameter*, int> held_;
};

class StreamedWeights : public testing::TestWithParam<std::string> {};

TEST_P(StreamedWeights, GiveTheSameGradients) {
  const auto model = on_test_device(load_model(GetParam()));
  const auto batch = load_batch(golden_folder() / GetParam() / "batch.json").to(model->device);
  auto plain = run(*model, batch);
  for (auto& [name, tensor] : plain) tensor = tensor.clone();
  for (const auto& parameter : model->parameters()) parameter->clear_grad();
  Streaming policy(*model);
  Context context;
  context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
  const double loss =
      engine::Engine(*model, engine::Recompute::None, &policy).forward_backward(batch, context).item<double>();
  EXPECT_TRUE(policy.balanced());
  EXPECT_EQ(static_cast<float>(loss), plain.at("loss").item<float>());
  for (const auto& parameter : model->parameters())
    for (const auto& slice : parameter->slices()) {
      const auto grad = Parameter::view(parameter->grad(), slice);
      EXPECT_TRUE((slice.transposed ? grad.t() : grad).equal(plain.at(slice.name))) << slice.name;
    }
}

INSTANTIATE_TEST_SUITE_P(Golden, StreamedWeights, testing::Values("gemma3", "gpt2", "llama_bias_tied", "phi3", "qwen3"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace automodel::parity
