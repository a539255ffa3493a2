// The golden families and adapters where AUTOMODEL_TEST_DEVICE says, in fp32 and in bf16.
#include "automodel/tensor/testing.h"
#include "tests/gpu/twins.h"

namespace automodel::gpu {
namespace {

// The same bound as on the CPU, four times as wide on a GPU: its exp and division are good to 2 units in the last
// place, and sums of products run in another order.
double fp32_bound() { return test_device().is_cpu() ? 1 : 4; }

class Golden : public testing::TestWithParam<std::string> {
 protected:
  Batch batch() const {
    return parity::load_batch(parity::golden_folder() / parity::base_case(GetParam()) / "batch.json");
  }
  Tensors golden() const { return parity::load_tensors(parity::golden_folder() / GetParam() / "golden.safetensors"); }
  Build build() const {
    return [name = GetParam()](at::ScalarType dtype) { return parity::build_model(name, dtype); };
  }
  std::unique_ptr<nn::Model> load(at::ScalarType dtype) const {
    const bool adapted = parity::base_case(GetParam()) != GetParam();
    const auto stored = adapted ? parity::load_adapted(GetParam()) : parity::load_model(GetParam());
    return make_twin(*stored, build(), dtype, test_device());
  }
};

TEST_P(Golden, InFp32EqualsTransformers) {
  const auto model = load(at::kFloat);
  for (const auto recompute : {engine::Recompute::None, engine::Recompute::Full}) {
    const auto worst = parity::compare(to_cpu(run(*model, batch(), recompute)), golden());
    EXPECT_LE(worst.error, fp32_bound()) << worst.name;
  }
}

TEST_P(Golden, InBf16IsWithinItsRounding) {
  const auto reference = load(at::kFloat);
  disturb_weights(*reference);
  const auto disturbed = run(*reference, batch());
  const auto model = load(at::kBFloat16);
  for (const auto recompute : {engine::Recompute::None, engine::Recompute::Full})
    expect_within_rounding(run(*model, batch(), recompute), disturbed, golden());
}

INSTANTIATE_TEST_SUITE_P(Families, Golden, testing::ValuesIn(parity::cases_with("batch.json")),
                         [](const auto& info) { return info.param; });
INSTANTIATE_TEST_SUITE_P(Adapters, Golden, testing::ValuesIn(parity::cases_with("case.json")),
                         [](const auto& info) { return info.param; });

// The bound is of use only if a mistake breaks it: every weight tensor, made half as large again, must.
TEST(GoldenBound, SeesAnyTensorHalfAsLargeAgain) {
  if (!test_device().is_cpu()) GTEST_SKIP() << "the bound is the same on a GPU, and is tried on the CPU";
  for (const std::string name : {"llama", "gemma3", "gpt2", "phi3", "qwen3"}) {
    const auto stored = parity::load_model(name);
    const auto batch = parity::load_batch(parity::golden_folder() / name / "batch.json");
    const auto golden = parity::load_tensors(parity::golden_folder() / name / "golden.safetensors");
    const Build build = [&](at::ScalarType dtype) { return parity::build_model(name, dtype); };
    const auto reference = make_twin(*stored, build, at::kFloat, at::kCPU);
    disturb_weights(*reference);
    const auto disturbed = run(*reference, batch);
    const auto model = make_twin(*stored, build, at::kBFloat16, at::kCPU);
    for (const auto& parameter : model->parameters()) {
      const auto kept = parameter->value().clone();
      parameter->value().mul_(1.5);
      double most = 0;
      for (const auto& [tensor, error] : bf16_errors(run(*model, batch), disturbed, golden))
        most = std::max(most, error);
      EXPECT_GT(most, 1) << name << " " << parameter->name();
      parameter->value().copy_(kept);
    }
  }
}

}  // namespace
}  // namespace automodel::gpu
