#include "automodel/optim/gradient.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "automodel/base/error.h"
#include "automodel/optim/golden_noise_test.h"

namespace automodel::optim {
namespace {

const std::vector<std::vector<int64_t>> kShapes = {{4, 6}, {2, 6}, {5}, {3, 7}};

std::vector<ParameterPtr> parameters_with_grads(double scale, at::ScalarType grad_dtype = at::kFloat) {
  std::vector<ParameterPtr> parameters;
  for (size_t i = 0; i < kShapes.size(); ++i) {
    auto parameter = std::make_shared<Parameter>("p" + std::to_string(i), kShapes[i], at::kFloat, Init{});
    parameter->set_value(golden_weight(static_cast<int64_t>(i), kShapes[i]));
    parameter->grad_dtype = grad_dtype;
    set_grad(*parameter, golden_grad(5, static_cast<int64_t>(i), kShapes[i]).mul_(scale));
    parameters.push_back(parameter);
  }
  return parameters;
}

TEST(Gradient, NormAndClippingEqualTorch) {
  const Json goldens = load_goldens("gradient_goldens.json");
  ASSERT_EQ(goldens.size(), 4u);
  for (const auto& golden : goldens) {
    const auto parameters = parameters_with_grads(golden["scale"]);
    const double norm = golden["norm"];
    EXPECT_NEAR(read_norm(clip_gradients(parameters, 0), 0), norm, 1e-12 * norm);
    EXPECT_NEAR(read_norm(clip_gradients(parameters, 1.0), 0), norm, 1e-12 * norm);
    if (golden["clipped"].is_null()) continue;  // fp32 squares overflow in torch at this scale
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto flat = parameters[i]->grad().view({-1});
      for (int64_t j = 0; j < flat.numel(); ++j) {
        const double expected = golden["clipped"][i][static_cast<size_t>(j)];
        EXPECT_NEAR(flat[j].item<double>(), expected, 5e-7 * std::abs(expected))
            << golden["scale"] << " " << i << " " << j;
      }
    }
  }
}

TEST(Gradient, FactorIsTorchs) {
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_factor(0, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 1.0), 1.0 / 4.000001);
}

TEST(Gradient, OtherDtypesAndThreadCountsGiveTheSameNorm) {
  const double norm = read_norm(clip_gradients(parameters_with_grads(1), 0), 0);
  EXPECT_NEAR(read_norm(clip_gradients(parameters_with_grads(1, at::kBFloat16), 0), 0), norm, 2e-3 * norm);
  EXPECT_NEAR(read_norm(clip_gradients(parameters_with_grads(1, at::kDouble), 0), 0), norm, 1e-7 * norm);

  const std::vector<int64_t> shape = {300'001};
  auto big = std::make_shared<Parameter>("big", shape, at::kFloat, Init{});
  big->set_value(at::zeros(shape));
  set_grad(*big, noise(3, shape));
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const double alone = read_norm(clip_gradients({big}, 0), 0);
  at::set_num_threads(2);
  EXPECT_EQ(read_norm(clip_gradients({big}, 0), 0), alone);
  at::set_num_threads(threads);
  EXPECT_NEAR(alone, std::sqrt(big->grad().to(at::kDouble).square().sum().item<double>()), 1e-10 * alone);
}

TEST(Gradient, TiedParametersCountOnceFrozenOnesNever) {
  auto parameters = parameters_with_grads(1);
  const double norm = read_norm(clip_gradients(parameters, 0), 0);
  parameters.push_back(parameters[0]);
  EXPECT_EQ(read_norm(clip_gradients(parameters, 0), 0), norm);
  parameters[1]->trainable = false;
  EXPECT_LT(read_norm(clip_gradients(parameters, 0), 0), norm);
  for (const auto& parameter : parameters) parameter->clear_grad();
  EXPECT_EQ(read_norm(clip_gradients(parameters, 0), 0), 0);
}

TEST(Gradient, FirstNotFiniteTensorIsNamedAndNothingIsClipped) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const auto parameters = parameters_with_grads(1);
    for (const size_t spoiled : {1, 3}) parameters[spoiled]->mutable_grad().view({-1})[2].fill_(bad);
    const auto before = parameters[0]->grad().clone();
    try {
      read_norm(clip_gradients(parameters, 1e-3), 17);
      FAIL() << "not noticed";
    } catch (const NumericError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("step 17: gradient of p1: 1 of 12 values are not finite"));
      EXPECT_THAT(error.what(), testing::HasSubstr(std::isnan(bad) ? "1 NaN, 0 infinite" : "0 NaN, 1 infinite"));
    }
    EXPECT_TRUE(parameters[0]->grad().equal(before));
  }
}

}  // namespace
}  // namespace automodel::optim
