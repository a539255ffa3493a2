// Every family against transformers: logits, loss and every gradient of a packed batch equal those of its documents run
// one by one.
#include <ATen/ops/equal.h>

#include <random>

#include "tests/parity/golden.h"

namespace automodel::parity {
namespace {

class Families : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path folder() const { return golden_folder() / GetParam(); }
  Batch batch() const { return load_batch(folder() / "batch.json"); }
  Tensors golden() const { return load_tensors(folder() / "golden.safetensors"); }
};

TEST_P(Families, PackedEqualsTransformersOneByOne) {
  const auto model = load_model(GetParam());
  const auto found = run(*model, batch());
  for (const auto& [name, tensor] : golden()) {
    ASSERT_TRUE(found.count(name)) << name;
    EXPECT_LE(error_in_bounds(found.at(name), tensor), 1) << name;
  }
  const auto worst = compare(found, golden());
  RecordProperty("worst", worst.name + " " + std::to_string(worst.error));
  EXPECT_LE(worst.error, 1) << worst.name;
}

TEST_P(Families, RecomputationChangesNoBit) {
  const auto model = load_model(GetParam());
  auto plain = run(*model, batch());
  for (auto& [name, tensor] : plain) tensor = tensor.clone();
  for (const auto recompute : {engine::Recompute::Selective, engine::Recompute::Full})
    for (const auto& [name, tensor] : run(*model, batch(), recompute))
      EXPECT_TRUE(at::equal(tensor, plain.at(name))) << name;
}

// A vector added to every key moves all scores of a query alike, and softmax does not see it: of gpt2's fused bias,
// whose model has no rotary positions, the key part is without effect.
bool without_effect(const ParameterSlice& slice, int64_t index) {
  const int64_t third = slice.rows / 3;
  return slice.name.ends_with("attn.c_attn.bias") && index >= third && index < 2 * third;
}

TEST_P(Families, AnyWeightMovedByAThousandthIsSeen) {
  const auto model = load_model(GetParam());
  const auto given = batch();
  const auto expected = golden();
  std::mt19937 numbers(7);
  for (const auto& parameter : model->parameters()) {
    for (const auto& slice : parameter->slices()) {
      auto values = parameter->view(slice);
      int64_t index;
      do index = static_cast<int64_t>(numbers() % static_cast<uint64_t>(values.numel()));
      while (without_effect(slice, index));
      auto value = values.reshape({-1}).is_alias_of(values) ? values.view({-1}).select(0, index)
                                                            : values.flatten().select(0, index);
      ASSERT_TRUE(value.is_alias_of(values)) << slice.name;
      const float kept = value.item<float>();
      value.fill_(kept + 1e-3f);
      EXPECT_GT(compare(run(*model, given), expected).error, 1) << slice.name << " element " << index;
      value.fill_(kept);
    }
  }
  EXPECT_LE(compare(run(*model, given), expected).error, 1) << "the weights were not put back";
}

INSTANTIATE_TEST_SUITE_P(Golden, Families, testing::ValuesIn(cases_with("batch.json")),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace automodel::parity
