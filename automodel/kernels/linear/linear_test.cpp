#include "automodel/kernels/linear/linear.h"

#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

at::Tensor plain(const at::Tensor& x, const std::vector<at::Tensor>& w) {
  const auto y = x.matmul(w[0].t());
  return w.size() > 1 ? y + w[1] : y;
}

TEST(Linear, EqualsThePlainProductForwardAndBackward) {
  struct Size {
    int64_t T, in, out;
  };
  for (const auto& [T, in, out] :
       {Size{0, 4, 3}, Size{1, 1, 1}, Size{1, 5, 7}, Size{13, 17, 5}, Size{257, 64, 33}, Size{300, 64, 80}})
    for (const auto& [dtype, tolerance] : kPrecisions)
      for (int flags = 0; flags < 16; ++flags) {
        const bool with_bias = flags & 1, weight_trained = flags & 2, bias_trained = flags & 4, x_grad = flags & 8;
        SCOPED_TRACE(testing::Message() << T << " x " << in << " -> " << out << " " << dtype << " flags " << flags);
        const auto weight = random_parameter({out, in}, 2, dtype, weight_trained),
                   bias = random_parameter({out}, 3, dtype, bias_trained);
        std::vector<Parameter*> weights = {weight.get()};
        if (with_bias) weights.push_back(bias.get());
        for (const bool holes : {false, true}) {
          const auto x = random_tensor({T, in}, 1, dtype);
          expect_equals_plain(
              [&](const at::Tensor& given) { return linear(given, *weight, with_bias ? bias.get() : nullptr); }, plain,
              holes ? strided(x) : x, {weights, x_grad, tolerance});
        }
      }
}

TEST(Linear, AddsAResidual) {
  for (const auto& [dtype, tolerance] : kPrecisions)
    for (const bool with_bias : {false, true})
      for (const int64_t T : {0, 1, 130}) {
        SCOPED_TRACE(testing::Message() << dtype << " bias " << with_bias << " T " << T);
        const auto weight = random_parameter({24, 24}, 2, dtype), bias = random_parameter({24}, 3, dtype);
        std::vector<Parameter*> weights = {weight.get()};
        if (with_bias) weights.push_back(bias.get());
        expect_equals_plain(
            [&](const at::Tensor& x) { return linear(x, *weight, with_bias ? bias.get() : nullptr, x * 2); },
            [](const at::Tensor& x, const std::vector<at::Tensor>& w) { return plain(x, w) + x * 2; },
            random_tensor({T, 24}, 1, dtype), {weights, true, tolerance * 2});
      }
}

TEST(Linear, SumsGradientsInTheSinksDtype) {  // 4096 equal terms of 2^-8: lost if they were summed in bf16
  const auto weight = random_parameter({1, 1}, 2, at::kBFloat16);
  const auto x = random_tensor({4096, 1}, 1, at::kBFloat16).fill_(0x1p-8);
  linear(x, *weight, nullptr).backward(x.detach() * 0 + 1);
  EXPECT_EQ(weight->grad().scalar_type(), at::kFloat);
  EXPECT_EQ(weight->grad().item<float>(), 16.0f);
  weight->drop_grad();
  weight->grad_dtype = at::kBFloat16;
  linear(x, *weight, nullptr).backward(x.detach() * 0 + 1);
  EXPECT_EQ(weight->grad().scalar_type(), at::kBFloat16);
}

TEST(Linear, KeepsItsInputOnlyForATrainedWeight) {
  for (const bool trained : {false, true}) {
    const auto weight = random_parameter({8, 4}, 2, at::kFloat, trained);
    auto x = random_tensor({3, 4}, 1).requires_grad_() * 2;  // no leaf: a leaf's own node keeps it
    const auto storage = x.storage();
    const auto y = linear(x, *weight, nullptr);
    x = at::Tensor();
    EXPECT_EQ(storage.use_count() > 1, trained);
  }
}

TEST(AccumulateOuter, AddsOrOverwrites) {
  const auto a = random_tensor({11, 3}, 1), b = random_tensor({11, 5}, 2);
  auto grad = random_tensor({3, 5}, 3);
  const auto product = a.to(at::kDouble).t().matmul(b.to(at::kDouble)), before = grad.to(at::kDouble).clone();
  accumulate_outer(grad, 1, a, strided(b));
  EXPECT_TRUE(is_close(grad, before + product, 1e-6));
  grad.fill_(NAN);  // what an uninitialised buffer may hold
  accumulate_outer(grad, 0, a, b);
  EXPECT_TRUE(is_close(grad, product, 1e-6));
}

}  // namespace
}  // namespace automodel::kernels
