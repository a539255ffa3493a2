#include "automodel/kernels/adapter/adapted_mlp.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>

#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

struct Shape {
  int64_t T, in, inner, out, rank, rank_after;
};

// The two linears of an MLP with adapters, base frozen.
struct Linears {
  Shape shape;
  std::unique_ptr<Parameter> gate_up, down, a, b, a_after, b_after;
  std::unique_ptr<AdapterStorage> first, second;

  Linears(const Shape& s, at::ScalarType dtype)
      : shape(s),
        gate_up(random_parameter({2 * s.inner, s.in}, 1, dtype, false)),
        down(random_parameter({s.out, s.inner}, 2, dtype, false)),
        a(random_parameter({2 * s.rank, s.in}, 3, dtype)),
        b(random_parameter({2 * s.inner, s.rank}, 4, dtype)),
        a_after(random_parameter({s.rank_after, s.inner}, 5, dtype)),
        b_after(random_parameter({s.out, s.rank_after}, 6, dtype)) {
    const int64_t I = s.inner;
    first = std::make_unique<AdapterStorage>(*gate_up, *a, *b, s.rank, 0.3,
                                             std::vector<AdapterPiece>{{0, I, 0}, {I, I, I}});
    second = std::make_unique<AdapterStorage>(*down, *a_after, *b_after, s.rank_after, 0.5,
                                              std::vector<AdapterPiece>{{0, s.out, 0}});
    first->refresh(true), second->refresh(true);
  }
  std::vector<Parameter*> weights() const {
    return {gate_up.get(), down.get(), a.get(), b.get(), a_after.get(), b_after.get()};
  }
};

at::Tensor plain(const Shape& s, const at::Tensor& x, const std::vector<at::Tensor>& w, Activation f,
                 const MlpDropout& dropout = {}) {
  const auto mask = [&](int64_t columns, const DropoutMask& of) {
    return drop(at::ones({s.T, columns}, at::kDouble), of).to(x.device());
  };
  const auto of_gate_up = mask(2 * s.inner, dropout.gate_up);
  const auto adapted = [&](int64_t j) {
    return x.matmul(w[0].narrow(0, j * s.inner, s.inner).t()) +
           x.matmul(w[2].narrow(0, j * s.rank, s.rank).t()).matmul(w[3].narrow(0, j * s.inner, s.inner).t()) * 0.3 *
               of_gate_up.narrow(1, j * s.inner, s.inner);
  };
  const auto y = activation(adapted(0), f) * adapted(1);
  return y.matmul(w[1].t()) + y.matmul(w[4].t()).matmul(w[5].t()) * 0.5 * mask(s.out, dropout.down);
}

// The last two have more rows and columns than a block of the GPU's kernels; 9 and 130 fill no vector, 17 no kernel.
const std::vector<Shape> kShapes = {{0, 8, 16, 8, 4, 4},        {1, 8, 16, 8, 16, 16},      {13, 7, 9, 5, 3, 8},
                                    {40, 32, 24, 16, 17, 16},   {33, 16, 72, 24, 8, 4},     {129, 24, 130, 8, 16, 16},
                                    {1100, 24, 712, 16, 16, 8}, {515, 40, 1096, 24, 12, 16}};

TEST(AdaptedMlp, EqualsThePlainFormulaForwardAndBackward) {
  for (const auto& shape : kShapes)
    for (const auto& precision : kPrecisions)
      for (const auto f : {Activation::Silu, Activation::GeluTanh, Activation::Relu}) {
        SCOPED_TRACE(testing::Message() << "T " << shape.T << " inner " << shape.inner << " rank " << shape.rank << " "
                                        << precision.dtype << " f " << static_cast<int>(f));
        if (f == Activation::Relu && precision.dtype != at::kFloat) continue;  // its slope jumps where roundings show
        const Linears l(shape, precision.dtype);
        const auto x = random_tensor({shape.T, shape.in}, 7, precision.dtype);
        expect_equals_plain(
            [&](const at::Tensor& given) { return adapted_mlp(given, *l.first, *l.second, f); },
            [&](const at::Tensor& x, const std::vector<at::Tensor>& w) { return plain(shape, x, w, f); },
            shape.T % 2 == 0 ? padded(x, l.first->extra()) : x, {l.weights(), true, precision.tolerance * 3});
      }
}

TEST(AdaptedMlp, DropsWhatItsAdaptersAdd) {
  for (const double p : {0.1, 0.6})
    for (const auto& shape : kShapes)
      for (const auto& precision : kPrecisions) {
        SCOPED_TRACE(testing::Message() << "p " << p << " T " << shape.T << " inner " << shape.inner << " rank "
                                        << shape.rank << " " << precision.dtype);
        const Linears l(shape, precision.dtype);
        const MlpDropout dropout{dropout_mask(p, RandomKey{3}), dropout_mask(p, RandomKey{4})};
        const auto f = shape.T % 2 ? Activation::Silu : Activation::GeluTanh;
        expect_equals_plain(
            [&](const at::Tensor& given) { return adapted_mlp(given, *l.first, *l.second, f, {}, dropout); },
            [&](const at::Tensor& x, const std::vector<at::Tensor>& w) { return plain(shape, x, w, f, dropout); },
            random_tensor({shape.T, shape.in}, 7, precision.dtype), {l.weights(), true, precision.tolerance * 3});
      }
}

TEST(AdaptedMlp, AddsAResidual) {
  const Shape shape{70, 24, 64, 24, 16, 16};
  for (const auto& precision : kPrecisions) {
    const Linears l(shape, precision.dtype);
    expect_equals_plain(
        [&](const at::Tensor& x) { return adapted_mlp(x, *l.first, *l.second, Activation::Silu, x * 2); },
        [&](const at::Tensor& x, const std::vector<at::Tensor>& w) {
          return plain(shape, x, w, Activation::Silu) + x * 2;
        },
        random_tensor({shape.T, shape.in}, 7, precision.dtype), {l.weights(), true, precision.tolerance * 3});
  }
}

TEST(AdaptedMlp, EqualsItsOpsOneAfterTheOther) {
  const Shape shape{600, 64, 264, 40, 16, 16};
  for (const auto& precision : kPrecisions) {
    const Linears l(shape, precision.dtype);
    const auto x = padded(random_tensor({shape.T, shape.in}, 7, precision.dtype), l.first->extra());
    const auto dy = random_tensor({shape.T, shape.out}, 8, precision.dtype);
    std::vector<at::Tensor> results[2];
    for (const bool one : {false, true}) {
      for (auto* weight : l.weights()) weight->clear_grad();
      const auto leaf = x.detach().requires_grad_();
      const auto step_by_step = [&] {
        const auto inner = adapted_linear(leaf, *l.first, nullptr);
        return adapted_linear(gated_activation(inner, Activation::Silu, l.second->extra()), *l.second, nullptr);
      };
      const auto y = one ? adapted_mlp(leaf, *l.first, *l.second, Activation::Silu) : step_by_step();
      y.backward(dy);
      results[one] = {y.detach(), leaf.grad()};
      for (auto* weight : l.weights())
        if (weight->trainable) results[one].push_back(weight->grad().clone());
    }
    // The same roundings; sums in another order.
    for (size_t i = 0; i < results[0].size(); ++i)
      EXPECT_TRUE(
          is_close(results[1][i], results[0][i], precision.dtype == at::kFloat ? 2e-6 : precision.tolerance / 2))
          << "result " << i << " " << precision.dtype;
  }
}

TEST(AdaptedMlp, MakesItsInputAgainWhereItIsToldHow) {
  const Shape shape{33, 16, 72, 24, 8, 8};
  const Linears l(shape, at::kFloat);
  const auto gradients = [&](bool remake) {
    for (auto* weight : l.weights()) weight->clear_grad();
    int times = 0;
    const auto source = random_tensor({shape.T, shape.in}, 7);
    const auto value = source * 2;
    const auto x = remake ? Remade(value, [&times, source] { return ++times, source * 2; }) : Remade(value);
    adapted_mlp(x, *l.first, *l.second, Activation::Silu).sum().backward();
    EXPECT_EQ(times, remake ? 1 : 0);
    return l.a->grad().clone();
  };
  EXPECT_TRUE(gradients(true).equal(gradients(false)));
}

TEST(AdaptedMlp, IsForAdaptersOfGateAndUpAndDownOverAFrozenBase) {
  const auto has = [](const Linears& l, Activation f = Activation::Silu, at::Device device = at::kCUDA) {
    return has_adapted_mlp(*l.first, *l.second, f, device);
  };
  const Linears good({1, 16, 64, 16, 16, 8}, at::kBFloat16);
  EXPECT_TRUE(has(good));
  EXPECT_TRUE(has(good, Activation::GeluTanh));
  EXPECT_FALSE(has(good, Activation::Gelu));
  EXPECT_FALSE(has(good, Activation::Silu, at::kCPU));
  EXPECT_FALSE(has(Linears({1, 16, 64, 16, 17, 8}, at::kBFloat16)));
  EXPECT_FALSE(has(Linears({1, 16, 64, 16, 16, 8}, at::kFloat)));
  Linears trained({1, 16, 64, 16, 16, 8}, at::kBFloat16);
  trained.down->trainable = true;
  EXPECT_FALSE(has(trained));
  Linears up_alone({1, 16, 64, 16, 16, 8}, at::kBFloat16);
  up_alone.first = std::make_unique<AdapterStorage>(*up_alone.gate_up, *up_alone.a, *up_alone.b, 16, 0.3,
                                                    std::vector<AdapterPiece>{{64, 64, 0}});
  EXPECT_FALSE(has(up_alone));
}

}  // namespace
}  // namespace automodel::kernels
