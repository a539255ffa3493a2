// Two layers of each family in bf16 against fp32 on the same device: at full width on a GPU, narrow on the CPU.
#include "automodel/peft/lora.h"
#include "automodel/tensor/testing.h"
#include "tests/gpu/shapes.h"

namespace automodel::gpu {
namespace {

class FullWidth : public testing::TestWithParam<Shape> {};

TEST_P(FullWidth, Bf16FollowsFp32) {
  const auto build = shape_build(GetParam(), test_device().is_cuda());
  const auto documents = uneven_documents(5);
  expect_bf16_follows(*make_shape(build), build, make_batch(documents.ids, documents.labels));
}

INSTANTIATE_TEST_SUITE_P(Shapes, FullWidth, testing::ValuesIn(shapes()),
                         [](const auto& info) { return info.param.name; });

class FullWidthLora : public testing::TestWithParam<int64_t> {};

TEST_P(FullWidthLora, Bf16FollowsFp32) {
  const auto base = shape_build(shapes().front(), test_device().is_cuda());
  const Build build = [&](at::ScalarType dtype) {
    auto model = base(dtype);
    peft::apply_lora(*model, {.match_all_linear = true, .rank = GetParam(), .alpha = 32});
    return model;
  };
  const auto model = make_shape(build);
  uint64_t key = 0;
  for (peft::Lora* lora : peft::adapters(*model))  // B is zero at a start, and A would have no gradient
    lora->b()->set_value(random_tensor(lora->b()->shape(), ++key) * 0.02);
  const auto documents = uneven_documents(5);
  expect_bf16_follows(*model, build, make_batch(documents.ids, documents.labels));
}

INSTANTIATE_TEST_SUITE_P(Ranks, FullWidthLora, testing::Values(8, 17, 64),
                         [](const auto& info) { return "r" + std::to_string(info.param); });

}  // namespace
}  // namespace automodel::gpu
