#include "automodel/tensor/initialize.h"

#include "automodel/tensor/testing.h"

namespace automodel {
namespace {

at::Tensor initialized(const std::string& name, std::vector<int64_t> shape, Init init, uint64_t seed = 1,
                       at::ScalarType dtype = at::kFloat) {
  Parameter parameter(name, shape, dtype, init);
  initialize(parameter, seed);
  return parameter.value();
}

void expect_moments(const at::Tensor& values, double mean, double deviation) {
  const auto x = values.to(at::kDouble);
  const double n = static_cast<double>(x.numel());
  EXPECT_NEAR(x.mean().item<double>(), mean, 5 * deviation / std::sqrt(n));
  EXPECT_NEAR(x.std(false).item<double>(), deviation, 5 * deviation / std::sqrt(2 * n));
}

TEST(Initialize, FollowsEachRule) {
  const std::vector<int64_t> shape = {300, 200};
  expect_moments(initialized("w", shape, {Init::Kind::Normal, 0.02}), 0, 0.02);
  expect_moments(initialized("w", shape, {Init::Kind::Uniform, 0.3}), 0, 0.3 / std::sqrt(3));
  expect_moments(initialized("w", shape, {Init::Kind::XavierNormal}), 0, std::sqrt(2.0 / 500));
  expect_moments(initialized("w", shape, {Init::Kind::KaimingUniform}), 0, std::sqrt(1.0 / 200 / 3));
  const auto kaiming = initialized("w", shape, {Init::Kind::KaimingUniform});
  EXPECT_LE(kaiming.abs().max().item<double>(), std::sqrt(1.0 / 200));
  EXPECT_GT(kaiming.abs().max().item<double>(), 0.99 * std::sqrt(1.0 / 200));
  EXPECT_EQ(initialized("w", shape, {Init::Kind::Zeros}).abs().max().item<float>(), 0);
  EXPECT_EQ((initialized("w", shape, {Init::Kind::Ones}) - 1).abs().max().item<float>(), 0);
}

TEST(Initialize, IsNormalInItsTails) {
  const auto x = initialized("w", {1000, 1000}, {Init::Kind::Normal, 1}).abs();
  const auto share = [&](double limit) { return (x > limit).to(at::kDouble).mean().item<double>(); };
  EXPECT_NEAR(share(1), 0.317311, 0.0025);
  EXPECT_NEAR(share(2), 0.045500, 0.0011);
  EXPECT_NEAR(share(3), 0.002700, 0.0003);
}

TEST(Initialize, DependsOnSeedAndNameAlone) {
  const Init normal{Init::Kind::Normal, 1};
  const auto a = initialized("a", {9, 5}, normal), b = initialized("b", {9, 5}, normal);
  EXPECT_FALSE(a.equal(b));
  EXPECT_FALSE(a.equal(initialized("a", {9, 5}, normal, 2)));
  EXPECT_TRUE(b.equal(initialized("b", {9, 5}, normal)));  // in another order
  // A fused weight's slices are what they would be on their own.
  Parameter fused(std::vector<ParameterSlice>{{"a", 0, 9}, {"b", 9, 9}}, {18, 5}, at::kFloat, normal);
  initialize(fused, 1);
  EXPECT_TRUE(fused.view(fused.slices()[0]).equal(a));
  EXPECT_TRUE(fused.view(fused.slices()[1]).equal(b));
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = initialized("large", {999, 77}, normal);
  at::set_num_threads(2);
  EXPECT_TRUE(initialized("large", {999, 77}, normal).equal(one));
  at::set_num_threads(before);
}

TEST(Initialize, ZeroesThePaddingRowAndKeepsTheRest) {
  Init init{Init::Kind::Normal, 1};
  const auto plain = initialized("a", {5, 4}, init);
  init.zero_row = 2;
  const auto padded = initialized("a", {5, 4}, init);
  for (int64_t row = 0; row < 5; ++row)
    if (row == 2) {
      EXPECT_EQ(padded[row].abs().max().item<float>(), 0);
    } else {
      EXPECT_TRUE(padded[row].equal(plain[row]));
    }
}

TEST(Initialize, RoundsTheSameNumbersToOtherDtypes) {
  const Init init{Init::Kind::Normal, 1};
  EXPECT_TRUE(initialized("a", {5, 4}, init, 1, at::kBFloat16).equal(initialized("a", {5, 4}, init).to(at::kBFloat16)));
}

}  // namespace
}  // namespace automodel
