#include "automodel/kernels/rms_norm/rms_norm.h"

#include <ATen/ops/cat.h>

#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

constexpr double kEps = 1e-5;
using Implementation = at::Tensor (*)(const at::Tensor&, Parameter&, double, bool);
const std::pair<const char*, Implementation> kImplementations[] = {{"fused", rms_norm},
                                                                   {"reference", rms_norm_reference}};

Plain plain(bool plus_one) {
  return [=](const at::Tensor& x, const std::vector<at::Tensor>& w) {
    const auto normal = x * (x.pow(2).mean({-1}, true) + kEps).rsqrt();
    return normal * (plus_one ? w[0] + 1 : w[0]);
  };
}

TEST(RmsNorm, EqualsThePlainFormulaForwardAndBackward) {
  const std::vector<std::vector<int64_t>> shapes = {{0, 8}, {1, 2}, {1, 7}, {3, 16}, {5, 3, 33}, {129, 33}, {700, 64}};
  for (const auto& [name, op] : kImplementations)
    for (const auto& shape : shapes)
      for (const auto& [dtype, tolerance] : kPrecisions)
        for (int flags = 0; flags < 8; ++flags) {
          const bool plus_one = flags & 1, trained = flags & 2, x_grad = flags & 4;
          SCOPED_TRACE(testing::Message()
                       << name << " " << testing::PrintToString(shape) << " " << dtype << " plus_one " << plus_one
                       << " trained " << trained << " x_grad " << x_grad);
          const auto weight = random_parameter({shape.back()}, 2, dtype, trained);
          const auto run = op;
          expect_equals_plain([&](const at::Tensor& x) { return run(x, *weight, kEps, plus_one); }, plain(plus_one),
                              random_tensor(shape, 1, dtype), {{weight.get()}, x_grad, tolerance});
        }
}

TEST(RmsNorm, EqualsThePlainFormulaAtEveryWidthOfRows) {  // what registers hold, what warps share, what is walked
  for (const int64_t D : {128, 512, 1000, 1024, 2048, 4096, 4100, 8192, 16384})
    for (const auto& [dtype, tolerance] : kPrecisions) {
      SCOPED_TRACE(testing::Message() << D << " " << dtype);
      const auto weight = random_parameter({D}, 2, dtype);
      expect_equals_plain([&](const at::Tensor& x) { return rms_norm(x, *weight, kEps, true); }, plain(true),
                          random_tensor({7, D}, 1, dtype), {{weight.get()}, true, 2 * tolerance});
    }
}

TEST(PassRmsNorm, EqualsTheStreamAndItsNorm) {
  for (const int64_t D : {5, 256, 4096})
    for (const auto& [dtype, tolerance] : kPrecisions)
      for (const bool trained : {false, true}) {
        SCOPED_TRACE(testing::Message() << D << " " << dtype << " trained " << trained);
        const auto weight = random_parameter({D}, 2, dtype, trained);
        const auto ours = [&](const at::Tensor& x) {
          const auto out = pass_rms_norm(x, *weight, kEps);
          return at::cat({out.h, out.y}, 1);
        };
        const auto formula = [&](const at::Tensor& x, const std::vector<at::Tensor>& w) {
          return at::cat({x, plain(false)(x, w)}, 1);
        };
        expect_equals_plain(ours, formula, random_tensor({37, D}, 1, dtype), {{weight.get()}, true, 2 * tolerance});
      }
}

TEST(RmsNorm, TakesInputsWithGaps) {
  for (const auto& [name, op] : kImplementations) {
    SCOPED_TRACE(name);
    const auto weight = random_parameter({33}, 2);
    const auto run = op;
    expect_equals_plain([&](const at::Tensor& x) { return run(x, *weight, kEps, false); }, plain(false),
                        strided(random_tensor({9, 33}, 1)), {{weight.get()}, true, 3e-6});
  }
}

TEST(RmsNorm, OfZerosIsZeroAndHasAFiniteGradient) {
  const auto weight = random_parameter({16}, 2);
  const auto x = (random_tensor({2, 16}, 1) * 0).requires_grad_();
  const auto y = rms_norm(x, *weight, 1e-6);
  EXPECT_EQ(y.abs().max().item<float>(), 0);
  y.sum().backward();
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
}

TEST(RmsNorm, DoesNotDependOnThreads) {
  expect_same_on_one_and_two_threads([] {
    const auto weight = random_parameter({48}, 2);
    const auto x = random_tensor({1000, 48}, 1).requires_grad_();
    const auto y = rms_norm(x, *weight, kEps, true);
    y.backward(random_tensor({1000, 48}, 3));
    return std::vector<at::Tensor>{y.detach(), x.grad(), weight->grad().clone()};
  });
}

}  // namespace
}  // namespace automodel::kernels
