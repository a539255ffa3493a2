#include "automodel/tensor/dropout.h"

#include "automodel/tensor/testing.h"

namespace automodel {
namespace {

TEST(Dropout, DropsTheShareItShouldAndScalesTheRest) {
  const int64_t n = 100000;
  const auto x = random_tensor({n}, 1) + 2;  // nowhere 0
  for (const double p : {0.1, 0.5, 0.9}) {
    const auto y = dropout(x, p, RandomKey{5});
    const auto kept = y.ne(0);
    EXPECT_NEAR(1 - kept.to(at::kDouble).mean().item<double>(), p, 5 * std::sqrt(p * (1 - p) / n)) << p;
    const auto expected = x * static_cast<float>(1 / (1 - std::round(p * 65536) / 65536)) * kept.to(at::kFloat);
    EXPECT_TRUE(is_close(y, expected, 1e-6)) << p;
  }
}

TEST(Dropout, OfNothingIsTheInputItselfAndOfAllIsZero) {
  const auto x = random_tensor({7}, 1);
  EXPECT_TRUE(dropout(x, 0, RandomKey{1}).is_same(x));
  EXPECT_EQ(dropout(x, 1, RandomKey{1}).abs().max().item<float>(), 0);
  EXPECT_EQ(dropout(random_tensor({0, 3}, 1), 0.5, RandomKey{1}).numel(), 0);
}

TEST(Dropout, DropsTheSameInTheBackwardAndInASecondRun) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto x = (random_tensor({33, 7}, 1) + 2).to(dtype).requires_grad_();
    const auto y = dropout(x, 0.3, RandomKey{9});
    EXPECT_EQ(y.scalar_type(), dtype);
    EXPECT_TRUE(y.equal(dropout(x, 0.3, RandomKey{9})));
    EXPECT_FALSE(y.equal(dropout(x, 0.3, RandomKey{10})));
    y.backward(strided(x) * 0 + 1);
    EXPECT_TRUE((x.grad() * x.detach()).equal(y.detach()));
  }
}

TEST(Dropout, DecidesByPlaceNotByLayout) {
  const auto x = random_tensor({20, 30}, 1) + 2;
  EXPECT_TRUE(dropout(strided(x), 0.5, RandomKey{2}).equal(dropout(x, 0.5, RandomKey{2})));
}

TEST(Dropout, DoesNotDependOnThreads) {
  const auto x = random_tensor({50000}, 1);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = dropout(x, 0.5, RandomKey{4});
  at::set_num_threads(2);
  EXPECT_TRUE(dropout(x, 0.5, RandomKey{4}).equal(one));
  at::set_num_threads(before);
}

}  // namespace
}  // namespace automodel
