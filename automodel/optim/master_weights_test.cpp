// What bf16 weights keep beside themselves: fp32 copies, their lower halves, or nothing and rounding by chance.
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/kernels/optimizer/rounding.h"
#include "automodel/optim/adam.h"
#include "automodel/optim/golden_noise_test.h"

namespace automodel::optim {
namespace {

const Master kMasters[] = {Master::Full, Master::Split, Master::Stochastic, Master::None};

ParameterPtr make_weight(const std::string& name, int64_t index, std::vector<int64_t> shape,
                         at::ScalarType dtype = at::kBFloat16) {
  auto parameter = std::make_shared<Parameter>(name, shape, dtype, Init{});
  parameter->set_value(golden_weight(index, shape).to(dtype));
  return parameter;
}

struct Trained {
  std::vector<ParameterPtr> weights = {make_weight("a.weight", 0, {37, 11}), make_weight("b.weight", 1, {4097})};
  Adam adam;

  explicit Trained(AdamSettings settings) : adam(weights, std::move(settings)) {}
  void steps(int64_t from, int64_t to) {
    for (int64_t step = from; step < to; ++step) {
      for (size_t i = 0; i < weights.size(); ++i)
        set_grad(*weights[i], golden_grad(step, static_cast<int64_t>(i), weights[i]->shape()));
      adam.step(1e-2, 0.1);
    }
  }
};

AdamSettings settings_of(Master master, at::ScalarType states = at::kFloat, bool amsgrad = false) {
  AdamSettings settings;
  settings.master_weights = master, settings.state_dtype = states, settings.amsgrad = amsgrad, settings.seed = 5;
  return settings;
}

TEST(MasterWeights, SplitOnesMakeTheNumbersOfFullOnesBitForBit) {
  for (const auto states : {at::kFloat, at::kBFloat16})
    for (const bool amsgrad : {false, true}) {
      Trained full(settings_of(Master::Full, states, amsgrad)), split(settings_of(Master::Split, states, amsgrad));
      full.steps(0, 100), split.steps(0, 100);
      const auto masters = full.adam.state(), halves = split.adam.state();
      for (size_t i = 0; i < full.weights.size(); ++i) {
        const auto name = full.weights[i]->name();
        const auto ours = split.weights[i]->value();
        EXPECT_TRUE(at::equal(ours, full.weights[i]->value())) << name;
        EXPECT_TRUE(at::equal(kernels::join_weight(ours, halves.at(name).remainder), masters.at(name).master)) << name;
        EXPECT_TRUE(at::equal(halves.at(name).exp_avg_sq, masters.at(name).exp_avg_sq)) << name;
        EXPECT_FALSE(halves.at(name).master.defined());
      }
    }
}

TEST(MasterWeights, EachKindGoesOnBitForBitFromItsState) {
  for (const auto master : kMasters)
    for (const auto states : {at::kFloat, at::kBFloat16}) {
      Trained whole(settings_of(master, states)), first(settings_of(master, states)),
          second(settings_of(master, states));
      whole.steps(0, 20);
      first.steps(0, 8);
      for (size_t i = 0; i < first.weights.size(); ++i) second.weights[i]->value().copy_(first.weights[i]->value());
      std::map<std::string, at::Tensor> saved;
      for (const auto& [name, tensor] : first.adam.state_tensors()) saved[name] = tensor.clone();
      EXPECT_EQ(saved.contains("a.weight.master"), master == Master::Full);
      EXPECT_EQ(saved.contains("a.weight.remainder"), master == Master::Split);
      second.adam.restore(saved);
      second.steps(8, 20);
      for (size_t i = 0; i < whole.weights.size(); ++i)
        EXPECT_TRUE(at::equal(second.weights[i]->value(), whole.weights[i]->value()))
            << static_cast<int>(master) << states << i;
    }
}

TEST(MasterWeights, StateBytesAreThoseAllocated) {
  for (const auto master : kMasters) {
    Trained run(settings_of(master));
    uint64_t bytes = 0;
    for (const auto& [name, tensor] : run.adam.state_tensors())
      if (!name.ends_with(".step")) bytes += tensor.nbytes();
    EXPECT_EQ(bytes, Adam::state_bytes(run.weights, run.adam.settings())) << static_cast<int>(master);
  }
}

// Updates of a fiftieth of bf16's unit: nearest loses them all, chance keeps their mean.
TEST(MasterWeights, RoundingByChanceIsRightInTheMean) {
  const auto mean_after = [](Master master) {
    auto weight = std::make_shared<Parameter>("w", std::vector<int64_t>{1 << 16}, at::kBFloat16, Init{});
    weight->set_value(at::full({1 << 16}, 1.0, at::kBFloat16));
    Adam adam({weight}, settings_of(master));
    set_grad(*weight, at::full({1 << 16}, 1.0, at::kFloat));
    for (int i = 0; i < 100; ++i) adam.step(8e-5, 0);
    return weight->value().to(at::kDouble).mean().item<double>();
  };
  // The deviation of the mean of 2^16 sums of 100 roundings, each by less than 2^-8: below 2^-8 * 10 / 2^8 / 2.
  EXPECT_NEAR(mean_after(Master::Stochastic), 0.992, 4 * 0x1p-8 * 10 / 256 / 2);
  EXPECT_EQ(mean_after(Master::None), 1.0);
}

// bf16's v as well: with beta2 0.999 its steps are an eighth of a unit.
TEST(MasterWeights, RoundingByChanceKeepsTheMeanOfASecondMomentInBfloat16) {
  const auto mean_of_v = [](Master master) {
    auto weight = std::make_shared<Parameter>("w", std::vector<int64_t>{1 << 14}, at::kBFloat16, Init{});
    weight->set_value(at::zeros({1 << 14}, at::kBFloat16));
    Adam adam({weight}, settings_of(master, at::kBFloat16));
    for (int i = 0; i < 300; ++i) {
      set_grad(*weight, at::full({1 << 14}, i < 100 ? 1.0 : 0.0, at::kFloat));
      adam.step(1e-4, 0);
    }
    return adam.state().at("w").exp_avg_sq.to(at::kDouble).mean().item<double>();
  };
  const double truth = (1 - std::pow(0.999, 100)) * std::pow(0.999, 200);
  EXPECT_NEAR(mean_of_v(Master::Stochastic), truth, 0.002 * truth);
  EXPECT_GT(std::abs(mean_of_v(Master::None) - truth), 0.02 * truth);
}

TEST(MasterWeights, ChanceIsAFunctionOfSeedStepNameAndElement) {
  const auto weight_after = [](uint64_t seed, const std::string& name, bool alone) {
    auto settings = settings_of(Master::Stochastic);
    settings.seed = seed;
    const auto weight = make_weight(name, 3, {1000});
    std::vector<ParameterPtr> all = {weight};
    if (!alone) all = {make_weight("other", 4, {13}), weight};
    Adam adam(all, settings);
    for (int64_t step = 0; step < 5; ++step) {
      for (const auto& parameter : all) set_grad(*parameter, golden_grad(step, 7, parameter->shape()));
      adam.step(1e-3, 0.1);
    }
    return weight->value().clone();
  };
  const auto once = weight_after(5, "w", true);
  EXPECT_TRUE(at::equal(once, weight_after(5, "w", true)));
  EXPECT_TRUE(at::equal(once, weight_after(5, "w", false))) << "other parameters must not matter";
  const auto differing = [&](const at::Tensor& x) { return x.ne(once).sum().item<int64_t>(); };
  EXPECT_GT(differing(weight_after(6, "w", true)), 100);
  EXPECT_GT(differing(weight_after(5, "v", true)), 100);
}

TEST(MasterWeights, OnlyBfloat16IsSplitOrRoundedByChance) {
  for (const auto master : {Master::Split, Master::Stochastic}) {
    try {
      Adam({make_weight("half.weight", 0, {4}, at::kHalf)}, settings_of(master));
      FAIL() << "was not refused";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("optimizer.master_weights: is s"),
                                               testing::HasSubstr("half.weight is in float16"),
                                               testing::HasSubstr("true keeps fp32 copies")));
    }
    Adam({make_weight("w", 0, {4}, at::kFloat)}, settings_of(master));  // is its own master
  }
}

}  // namespace
}  // namespace automodel::optim
