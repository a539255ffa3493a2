// The vectorisable exponential, and reductions, against libm in double precision.
#include "automodel/kernels/simd.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <vector>

namespace automodel::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

TEST(ExpFast, IsWithin2e7OfLibmOverItsRange) {
  double worst = 0;
  for (int i = -8700000; i <= 8800000; ++i) {
    const auto x = static_cast<float>(i * 1e-5);
    const double truth = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(exp_fast(x) - truth) / truth);
  }
  EXPECT_LT(worst, 2e-7);
  RecordProperty("worst_relative_error", std::to_string(worst));
}

TEST(ExpFast, KeepsItsWordOutsideItsRange) {
  EXPECT_EQ(exp_fast(0.0f), 1.0f);
  EXPECT_EQ(exp_fast(-0.0f), 1.0f);
  EXPECT_EQ(exp_fast(-kInfinity), 0.0f);
  EXPECT_EQ(exp_fast(-1e30f), 0.0f);
  EXPECT_EQ(exp_fast(-88.0f), 0.0f);
  EXPECT_TRUE(std::isnan(exp_fast(kNan)));
  for (const float x : {88.5f, 89.0f, 1e30f, kInfinity}) EXPECT_GE(exp_fast(x), 2.4e38f) << x;
}

TEST(ExpFast, GrowsWithItsArgument) {
  float last = 0;
  for (int i = -90000; i <= 89000; ++i) {
    const float value = exp_fast(static_cast<float>(i) * 1e-3f);
    ASSERT_GE(value, last) << i;
    last = value;
  }
}

TEST(TanhAndSigmoidFast, AreWithin3e7) {
  for (int i = -2000000; i <= 2000000; ++i) {
    const auto x = static_cast<float>(i * 1e-4);
    ASSERT_NEAR(tanh_fast(x), std::tanh(static_cast<double>(x)), 3e-7) << x;
    ASSERT_NEAR(sigmoid_fast(x), 1 / (1 + std::exp(-static_cast<double>(x))), 3e-7) << x;
  }
  EXPECT_EQ(tanh_fast(kInfinity), 1.0f);
  EXPECT_EQ(tanh_fast(-kInfinity), -1.0f);
  EXPECT_EQ(sigmoid_fast(kInfinity), 1.0f);
  EXPECT_EQ(sigmoid_fast(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(tanh_fast(kNan)));
  EXPECT_TRUE(std::isnan(sigmoid_fast(kNan)));
}

TEST(Lanes, SumAndMaximumTakeEveryElementOnce) {
  for (int64_t n = 0; n < 70; ++n) {
    std::vector<float> x(static_cast<size_t>(n));
    std::iota(x.begin(), x.end(), -20.0f);
    const auto at = [&](int64_t i) { return x[static_cast<size_t>(i)]; };
    EXPECT_EQ(lane_sum(n, at), std::accumulate(x.begin(), x.end(), 0.0f)) << n;
    EXPECT_EQ(lane_max(n, at), n == 0 ? -kInfinity : x.back()) << n;
    for (int64_t top = 0; top < n; ++top)
      EXPECT_EQ(lane_max(n, [&](int64_t i) { return i == top ? 1.0f : -1.0f; }), 1.0f) << n << " " << top;
  }
}

}  // namespace
}  // namespace automodel::kernels
