#include "automodel/optim/step_guard.h"

#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/optim/adam.h"
#include "automodel/optim/golden_noise_test.h"
#include "automodel/tensor/testing.h"

namespace automodel::optim {
namespace {

GradientNorm norm_of(double total) {
  GradientNorm norm;
  norm.total = at::scalar_tensor(total, at::kDouble).to(test_device());
  return norm;
}

StepGuard make_guard(const config::GradScalerSection& scaler = {}, NonFinite non_finite = NonFinite::Stop) {
  return StepGuard(scaler, non_finite, at::kHalf, test_device());
}

TEST(StepGuard, MovesTheScaleAsTorchsGradScaler) {
  const Json goldens = load_goldens("scaler_goldens.json");
  ASSERT_EQ(goldens.size(), 3u);
  for (const auto& golden : goldens) {
    auto guard = make_guard({.init_scale = golden["init_scale"],
                             .growth_factor = golden["growth_factor"],
                             .backoff_factor = golden["backoff_factor"],
                             .growth_interval = golden["growth_interval"]});
    const auto overflows = golden["overflow"].get<std::vector<int64_t>>();
    int64_t step = 0;
    for (const auto& scale : golden["scales"]) {
      EXPECT_EQ(guard.scale().item<float>(), scale.get<float>()) << step;
      const bool overflow = std::find(overflows.begin(), overflows.end(), step++) != overflows.end();
      guard.update_scale(norm_of(overflow ? (step % 2 ? INFINITY : NAN) : 1.0));
    }
  }
}

TEST(StepGuard, FallsNoFurtherThanTheLeastScale) {
  auto guard = make_guard({.init_scale = 8, .min_scale = 3});
  guard.update_scale(norm_of(NAN));
  EXPECT_EQ(guard.scale().item<float>(), 4);
  EXPECT_TRUE(guard.may_overflow(4));
  guard.update_scale(norm_of(NAN));
  EXPECT_EQ(guard.scale().item<float>(), 3);
  EXPECT_FALSE(guard.may_overflow(3));
  EXPECT_FALSE(guard.may_overflow(0));
}

TEST(StepGuard, OnlyFloat16HasAScale) {
  EXPECT_TRUE(make_guard().scale().defined());
  EXPECT_FALSE(make_guard({.enabled = "false"}).scale().defined());
  const auto of = [](at::ScalarType model, config::GradScalerSection scaler) {
    return StepGuard(scaler, NonFinite::Stop, model, at::kCPU);
  };
  for (const auto dtype : {at::kBFloat16, at::kFloat}) {
    EXPECT_FALSE(of(dtype, {}).scale().defined());
    EXPECT_FALSE(of(dtype, {.enabled = "false"}).scale().defined());
    EXPECT_THAT(message_of([&] { of(dtype, {.enabled = "true"}); }), testing::HasSubstr("model.torch_dtype: float16"));
    EXPECT_THAT(message_of([&] { of(dtype, {.growth_interval = 5}); }),
                testing::HasSubstr("grad_scaler: scales the loss"));
  }
  EXPECT_THAT(message_of([&] { make_guard({.init_scale = 2, .min_scale = 4}); }),
              testing::HasSubstr("grad_scaler.init_scale: is 2, below"));
}

TEST(StepGuard, ItsStateGoesOnExactly) {
  auto guard = make_guard({.init_scale = 1000, .growth_factor = 1.1, .growth_interval = 3});
  for (const double norm : {1.0, 1.0, 1.0, 1.0, double(NAN), 1.0, 1.0}) {
    guard.update_scale(norm_of(norm));
    guard.count_step(0, std::isnan(norm));
  }
  auto other = make_guard({.growth_factor = 1.1, .growth_interval = 3});
  other.restore(parse_json(guard.state().dump(), "state"));
  EXPECT_EQ(other.skipped_steps(), 1);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(other.scale().item<float>(), guard.scale().item<float>());
    guard.update_scale(norm_of(1)), other.update_scale(norm_of(1));
  }
  EXPECT_THAT(message_of([&] { other.restore(Json::object()); }),
              testing::HasSubstr("optimizer.skipped_steps is no number"));
  auto without_scale = guard.state();
  without_scale.erase("loss_scale");
  EXPECT_THAT(message_of([&] { other.restore(without_scale); }),
              testing::HasSubstr("optimizer.loss_scale is no number"));
  EXPECT_TRUE(StepGuard({}, NonFinite::Stop, at::kFloat, at::kCPU).state().empty());
}

TEST(StepGuard, AHundredSkippedStepsInARowEndARun) {
  auto guard = make_guard({}, NonFinite::Skip);
  for (int64_t step = 0; step < 99; ++step) guard.count_step(step, true);
  guard.count_step(99, false);
  for (int64_t step = 100; step < 199; ++step) guard.count_step(step, true);
  EXPECT_EQ(guard.skipped_steps(), 198);
  auto resumed = make_guard({}, NonFinite::Skip);
  auto state = parse_json(guard.state().dump(), "state");
  resumed.restore(state);
  for (auto* each : {&guard, &resumed})
    EXPECT_THAT(message_of([&] { each->count_step(199, true); }), testing::HasSubstr("step 199: the last 100 steps"));
  for (const Json& wrong : {Json(-1), Json("many"), Json()}) {
    state["skipped_in_a_row"] = wrong;
    EXPECT_THAT(message_of([&] { resumed.restore(state); }),
                testing::HasSubstr("optimizer.skipped_in_a_row is no number"));
  }
  state.erase("skipped_in_a_row");
  EXPECT_THAT(message_of([&] { resumed.restore(state); }),
              testing::HasSubstr("optimizer.skipped_in_a_row is no number"));
}

// restore_from with another configuration: a run that stopped at such gradients kept no counts.
TEST(StepGuard, GoesOnFromARunThatCouldNotSkip) {
  StepGuard guard({}, NonFinite::Skip, at::kFloat, at::kCPU);
  guard.count_step(1, true);
  guard.restore(StepGuard({}, NonFinite::Stop, at::kFloat, at::kCPU).state());
  EXPECT_EQ(guard.skipped_steps(), 0);
}

// Gradients 1024 times too large, and told so: the same norm, the same clipping, the same update.
TEST(StepGuard, ScaledGradientsMakeTheUpdateOfPlainOnes) {
  for (const double max_norm : {0.0, 0.5}) {
    const auto train = [&](double factor) {
      auto weight = std::make_shared<Parameter>("w", std::vector<int64_t>{64, 3}, at::kFloat, Init{});
      weight->set_value(random_tensor({64, 3}, 1));
      Adam adam({weight}, {});
      double norm = 0;
      for (uint64_t step = 0; step < 3; ++step) {
        set_grad(*weight, random_tensor({64, 3}, 10 + step) * factor);
        const auto scale = at::scalar_tensor(factor, at::kFloat).to(test_device());
        const auto clipped = clip_gradients({weight}, max_norm, factor == 1 ? at::Tensor() : scale);
        adam.step(1e-2, 0.1, clipped);
        norm = clipped.total.item<double>();
      }
      return std::pair(weight->value().cpu(), norm);
    };
    const auto [plain, norm] = train(1);
    const auto [scaled, scaled_norm] = train(1024);
    EXPECT_NEAR(scaled_norm, norm, 1e-12 * norm);
    EXPECT_TRUE(is_close(scaled, plain, 1e-6));
  }
}

}  // namespace
}  // namespace automodel::optim
