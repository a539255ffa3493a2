#include "automodel/optim/adam_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/testing.h"

namespace automodel::optim {
namespace {

using testing::HasSubstr;

TEST(AdamSettings, ComeFromTheSection) {
  config::OptimizerSection section;
  EXPECT_TRUE(make_adam_settings(section).decoupled);
  section.kind = "adam";
  section.betas = {0.8, 0.9};
  section.state_dtype = "torch.bfloat16";
  section.master_weights = "true";
  const auto settings = make_adam_settings(section);
  EXPECT_FALSE(settings.decoupled);
  EXPECT_EQ(settings.beta1, 0.8);
  EXPECT_EQ(settings.beta2, 0.9);
  EXPECT_EQ(settings.state_dtype, at::kBFloat16);
  EXPECT_EQ(settings.master_weights, Master::Full);
  EXPECT_FALSE(settings.grad_dtype.has_value());
  section.grad_dtype = "float32";
  EXPECT_EQ(make_adam_settings(section).grad_dtype, at::kFloat);
  section.kind = "muon";
  EXPECT_THAT(message_of([&] { make_adam_settings(section); }), HasSubstr("'muon' is not built in"));
}

TEST(AdamSettings, GradientsAreInTheWeightsDtypeOnlyWhereTheStatesAreTooOrWhereAsked) {
  AdamSettings settings;
  EXPECT_EQ(gradient_dtype(at::kBFloat16, settings), at::kFloat);
  EXPECT_EQ(gradient_dtype(at::kFloat, settings), at::kFloat);
  EXPECT_EQ(gradient_dtype(at::kDouble, settings), at::kDouble);
  settings.state_dtype = at::kBFloat16;
  EXPECT_EQ(gradient_dtype(at::kBFloat16, settings), at::kBFloat16);
  EXPECT_EQ(gradient_dtype(at::kHalf, settings), at::kFloat);
  settings.master_weights = Master::Full;
  EXPECT_EQ(gradient_dtype(at::kBFloat16, settings), at::kFloat);
  settings.grad_dtype = at::kBFloat16;
  EXPECT_EQ(gradient_dtype(at::kBFloat16, settings), at::kBFloat16);
  EXPECT_THAT(message_of([&] { gradient_dtype(at::kFloat, settings); }),
              HasSubstr("optimizer.grad_dtype: is bfloat16"));
}

TEST(AdamSettings, MastersThatNoWeightCanHaveAreIdle) {
  const auto in = [](at::ScalarType dtype) {
    return std::make_shared<Parameter>("w", std::vector<int64_t>{2, 2}, dtype, Init{});
  };
  const auto said = [](const std::vector<ParameterPtr>& trained, std::optional<Master> master) {
    AdamSettings settings;
    settings.master_weights = master;
    return idle_masters(trained, settings);
  };
  EXPECT_THAT(said({in(at::kFloat)}, Master::Split), HasSubstr("optimizer.master_weights: split changes nothing"));
  EXPECT_THAT(said({in(at::kFloat)}, Master::Stochastic), HasSubstr("stochastic changes nothing"));
  EXPECT_EQ(said({in(at::kFloat), in(at::kBFloat16)}, Master::Split), "");
  for (const auto master : {std::optional<Master>(), std::optional(Master::Full), std::optional(Master::None)})
    EXPECT_EQ(said({in(at::kFloat)}, master), "");
}

}  // namespace
}  // namespace automodel::optim
