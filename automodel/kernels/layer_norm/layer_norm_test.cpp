#include "automodel/kernels/layer_norm/layer_norm.h"

#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

constexpr double kEps = 1e-5;

TEST(LayerNorm, EqualsThePlainFormulaForwardAndBackward) {
  const std::vector<std::vector<int64_t>> shapes = {{0, 8},    {1, 3},   {3, 16},   {2, 5, 33},
                                                    {300, 64}, {9, 768}, {5, 4096}, {4000, 8}};
  for (const auto& shape : shapes)
    for (const auto& [dtype, tolerance] : kPrecisions)
      for (int flags = 0; flags < 8; ++flags) {
        const bool with_bias = flags & 1, trained = flags & 2, x_grad = flags & 4;
        SCOPED_TRACE(testing::Message() << testing::PrintToString(shape) << " " << dtype << " bias " << with_bias
                                        << " trained " << trained << " x_grad " << x_grad);
        const auto weight = random_parameter({shape.back()}, 2, dtype, trained),
                   bias = random_parameter({shape.back()}, 3, dtype, trained);
        std::vector<Parameter*> weights = {weight.get()};
        if (with_bias) weights.push_back(bias.get());
        const auto plain = [](const at::Tensor& x, const std::vector<at::Tensor>& w) {
          const auto centred = x - x.mean({-1}, true);
          const auto y = centred * (centred.pow(2).mean({-1}, true) + kEps).rsqrt() * w[0];
          return w.size() > 1 ? y + w[1] : y;
        };
        expect_equals_plain(
            [&](const at::Tensor& x) { return layer_norm(x, *weight, with_bias ? bias.get() : nullptr, kEps); }, plain,
            random_tensor(shape, 1, dtype), {weights, x_grad, 2 * tolerance});
      }
}

}  // namespace
}  // namespace automodel::kernels
