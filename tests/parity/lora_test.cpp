// Adapters as PEFT saves them: logits, loss and every gradient of A, B and magnitude, and the merged weights, as PEFT
// computes them.
#include <ATen/TensorOperators.h>

#include "automodel/checkpoint/load_weights.h"
#include "automodel/peft/adapter_config.h"
#include "tests/parity/golden.h"

namespace automodel::parity {
namespace {

class Adapters : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path folder() const { return golden_folder() / GetParam(); }
  Batch batch() const { return load_batch(golden_folder() / base_case(GetParam()) / "batch.json"); }
  Tensors golden() const { return load_tensors(folder() / "golden.safetensors"); }
};

TEST_P(Adapters, EqualPeft) {
  const auto model = load_adapted(GetParam());
  const auto found = run(*model, batch());
  for (const auto& [name, tensor] : golden()) {
    ASSERT_TRUE(found.count(name)) << name;
    EXPECT_LE(error_in_bounds(found.at(name), tensor), 1) << name;
  }
  const auto worst = compare(found, golden());
  EXPECT_LE(worst.error, 1) << worst.name;  // nothing of the base has a gradient
}

TEST_P(Adapters, RecomputationChangesNoBit) {
  const auto model = load_adapted(GetParam());
  const auto batch = load_batch(golden_folder() / base_case(GetParam()) / "batch.json");
  auto plain = run(*model, batch);
  for (auto& [name, tensor] : plain) tensor = tensor.clone();
  for (const auto recompute : {engine::Recompute::Selective, engine::Recompute::Full})
    for (const auto& [name, tensor] : run(*model, batch, recompute)) EXPECT_TRUE(tensor.equal(plain.at(name))) << name;
}

TEST_P(Adapters, AreInTheMergedWeights) {
  const auto model = load_adapted(GetParam());
  peft::merge_lora(*model);
  EXPECT_TRUE(peft::adapters(*model).empty());
  const auto given = batch();
  Context context;
  const auto logits = model->head->logits(nn::forward_hidden(*model, given, context));
  const auto expected = golden().at("logits");
  // The merged weight is rounded to float32 once, so its own error is in the result.
  EXPECT_LE(error_in_bounds(logits, expected), 2);
  const auto plain = load_tensors(golden_folder() / base_case(GetParam()) / "golden.safetensors").at("logits");
  EXPECT_GT(error_in_bounds(plain, expected), 1000) << "the adapter has no effect";
}

TEST_P(Adapters, AnyWeightMovedByAThousandthIsSeen) {
  const auto model = load_adapted(GetParam());
  const auto given = batch();
  const auto expected = golden();
  for (const auto& parameter : peft::adapter_parameters(*model))
    for (const auto& slice : parameter->slices()) {
      auto value = parameter->view(slice);
      while (value.dim() > 0) value = value.select(0, value.size(0) / 2);
      const float kept = value.item<float>();
      value.fill_(kept + 1e-3f);
      EXPECT_GT(compare(run(*model, given), expected).error, 1) << slice.name;
      value.fill_(kept);
    }
  EXPECT_LE(compare(run(*model, given), expected).error, 1) << "the weights were not put back";
}

INSTANTIATE_TEST_SUITE_P(Golden, Adapters, testing::ValuesIn(cases_with("case.json")),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace automodel::parity
