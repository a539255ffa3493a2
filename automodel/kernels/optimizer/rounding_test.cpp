#include "automodel/kernels/optimizer/rounding.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

// fp32 numbers by their bits: ties, the borders of finite and normal numbers, and random ones.
at::Tensor numbers_by_bits() {
  std::vector<uint32_t> bits;
  for (const uint32_t high : {0x0000u, 0x0001u, 0x007fu, 0x0080u, 0x3f80u, 0x3f81u, 0x7f7eu, 0x7f7fu, 0x7f80u, 0x7fc0u})
    for (const uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      for (const uint32_t sign : {0u, 0x80000000u}) bits.push_back(sign | high << 16 | low);
  bits.push_back(0x7fffffff);
  for (uint64_t i = 0; i < 200000; ++i) bits.push_back(philox(RandomKey{3}, i)[0]);
  auto numbers = at::empty({static_cast<int64_t>(bits.size())}, at::kFloat);
  std::memcpy(numbers.mutable_data_ptr(), bits.data(), 4 * bits.size());
  return numbers;
}

at::Tensor bits_of(const at::Tensor& x) { return x.view(at::kInt); }

// torch rounds ties to even; ours go away from zero, and nothing else may differ.
void expect_nearest(const at::Tensor& weight, const at::Tensor& exact) {
  const auto torch = exact.to(at::kBFloat16);
  const auto tie = bits_of(exact).bitwise_and(0xffff).eq(0x8000);
  const auto same = weight.eq(torch).logical_or(exact.isnan().logical_and(weight.isnan()));
  EXPECT_TRUE(same.logical_or(tie).all().item<bool>());
  const auto kept = weight.to(at::kFloat).abs().ge(exact.abs()).logical_or(tie.logical_not()).logical_or(exact.isnan());
  EXPECT_TRUE(kept.all().item<bool>()) << "a tie went to zero";
}

TEST(Rounding, IsToTheNearestOnEveryDevice) {
  const auto exact = numbers_by_bits();
  auto weight = at::empty_like(exact, at::kBFloat16);
  round_to_nearest(exact, weight);
  expect_nearest(weight, exact);
  const auto on_device = weight.to(test_device());
  round_to_nearest(exact.to(test_device()), on_device);
  expect_nearest(on_device.cpu(), exact);
  auto strided_weight = strided(at::empty_like(weight));  // takes the way of other devices
  round_to_nearest(exact, strided_weight);
  const auto same = strided_weight.contiguous().view(at::kShort).eq(weight.view(at::kShort));
  EXPECT_TRUE(same.logical_or(exact.isnan()).all().item<bool>());  // what bits a NaN has is the processor's own
  expect_nearest(strided_weight.contiguous(), exact);
}

TEST(Rounding, SplitHalvesHoldEveryFiniteNumberBitForBit) {
  const auto exact = numbers_by_bits();
  auto weight = at::empty_like(exact, at::kBFloat16), remainder = at::empty_like(exact, at::kShort);
  split_weight(exact, weight, remainder);
  expect_nearest(weight, exact);
  const auto joined = join_weight(weight, remainder);
  EXPECT_TRUE(bits_of(joined).eq(bits_of(exact)).logical_or(at::isfinite(exact).logical_not()).all().item<bool>());
  EXPECT_TRUE(joined.isnan().eq(exact.isnan()).all().item<bool>());
  EXPECT_TRUE(joined.isinf().eq(exact.isinf()).all().item<bool>());
}

TEST(Rounding, ByChanceTakesANeighbourWithTheProbabilityOfItsNearness) {
  constexpr int64_t kCount = 1 << 16;
  const double unit = 0x1p-7;  // between bf16 numbers from 1 on
  for (const bool upper : {false, true})
    for (const double part : {0.0, 0.125, 0.5, 0.9}) {
      const auto exact = at::full({kCount}, -(1 + part * unit), at::kFloat);
      auto rounded = at::empty({kCount}, at::kBFloat16);
      round_by_chance(exact, rounded, {.seed = 11, .stream = 7, .upper = upper});
      const auto up = rounded.eq(-(1 + unit)), down = rounded.eq(-1);
      EXPECT_TRUE(up.logical_or(down).all().item<bool>());
      const double share = up.to(at::kDouble).mean().item<double>();
      EXPECT_NEAR(share, part, 4 * std::sqrt(part * (1 - part) / kCount) + 1e-9) << part;
    }
}

TEST(Rounding, ByChanceLeavesWhatIsNotFinite) {
  const auto exact = numbers_by_bits();
  auto rounded = at::empty_like(exact, at::kBFloat16);
  round_by_chance(exact, rounded, {.seed = 1});
  EXPECT_TRUE(rounded.isnan().eq(exact.isnan()).all().item<bool>());
  EXPECT_TRUE(rounded.isinf().logical_or(exact.isinf().logical_not()).all().item<bool>());
}

}  // namespace
}  // namespace automodel::kernels
