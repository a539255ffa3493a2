#include "automodel/optim/adam.h"

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/kernels/optimizer/rounding.h"
#include "automodel/optim/golden_noise_test.h"
#include "automodel/tensor/dtype.h"

namespace automodel::optim {
namespace {

using testing::HasSubstr;

const char* const kNames[] = {"layers.0.q.weight", "layers.0.k.weight", "layers.0.norm.weight", "head.weight"};

AdamSettings settings_of(const Json& golden) {
  AdamSettings settings;
  settings.decoupled = golden["decoupled"];
  settings.beta1 = golden["betas"][0];
  settings.beta2 = golden["betas"][1];
  settings.eps = golden["eps"];
  settings.amsgrad = golden["amsgrad"];
  settings.maximize = golden["maximize"];
  if (golden["weights"] != "float32" && !golden["master"])
    settings.state_dtype = *parse_dtype(golden["weights"].get<std::string>());
  for (const auto& given : golden["overrides"])
    settings.param_group_overrides.push_back({given["pattern"], given["lr_mult"], given["wd_mult"]});
  return settings;
}

// q and k of the goldens are the slices of one fused parameter here; the update must not notice.
struct Model {
  std::vector<ParameterPtr> parameters;
  std::map<std::string, std::vector<int64_t>> shapes;

  Model(const Json& goldens, at::ScalarType dtype) {
    at::set_num_threads(1);  // tensors this small only wait for the other threads
    for (const auto& [name, shape] : goldens["shapes"].items()) shapes[name] = shape.get<std::vector<int64_t>>();
    std::vector<ParameterSlice> slices = {{kNames[0], 0, 4}, {kNames[1], 4, 2}};
    parameters = {std::make_shared<Parameter>(slices, std::vector<int64_t>{6, 6}, dtype, Init{}),
                  std::make_shared<Parameter>(kNames[2], shapes[kNames[2]], dtype, Init{}),
                  std::make_shared<Parameter>(kNames[3], shapes[kNames[3]], dtype, Init{})};
    for (const auto& parameter : parameters) parameter->allocate(at::kCPU);
    for (int i = 0; i < 4; ++i) weight(i).copy_(golden_weight(i, shapes[kNames[i]]));
  }
  at::Tensor weight(int i) const {
    return view(i, [](const Parameter& p) { return p.value(); });
  }
  at::Tensor view(int i, const std::function<at::Tensor(const Parameter&)>& whole) const {
    const auto& parameter = parameters[i < 2 ? 0 : i - 1];
    return Parameter::view(whole(*parameter), parameter->slices()[i < 2 ? i : 0]);
  }
  void set_grads(int64_t step, bool all = false) {
    parameters[0]->clear_grad();
    parameters[0]->add_grad([&](at::Tensor& grad, double) {
      for (int i = 0; i < 2; ++i)
        Parameter::view(grad, parameters[0]->slices()[i]).copy_(golden_grad(step, i, shapes[kNames[i]]));
    });
    if (!all && step % 5 == 4)
      parameters[1]->clear_grad();
    else
      set_grad(*parameters[1], golden_grad(step, 2, shapes[kNames[2]]));
    set_grad(*parameters[2], golden_grad(step, 3, shapes[kNames[3]]));
  }
};

double lr_at(int64_t step) { return 1e-2 * (1 - static_cast<double>(step) / 100); }
double wd_at(int64_t step) { return 0.1 + static_cast<double>(step) / 200; }

// Bounds: fp32 differs by the rounding of torch's fused and plain formulas; bf16 weights by one unit in the last place.
void expect_near(const at::Tensor& ours, const Json& golden, const std::string& what) {
  const auto flat = ours.to(at::kDouble).contiguous().view({-1});
  ASSERT_EQ(flat.numel(), static_cast<int64_t>(golden.size())) << what;
  double largest = 0;
  for (const auto& value : golden) largest = std::max(largest, std::abs(value.get<double>()));
  const double bound = ours.scalar_type() == at::kFloat  ? 2e-6
                       : ours.scalar_type() == at::kHalf ? 1.0 / 1024
                                                         : 1.0 / 128;
  for (int64_t i = 0; i < flat.numel(); ++i)
    EXPECT_NEAR(flat[i].item<double>(), golden[i].get<double>(),
                bound * (ours.scalar_type() == at::kFloat ? largest : std::abs(golden[i].get<double>())) + 1e-12)
        << what << " element " << i;
}

// `golden` by our steps, its master weights kept as `master` says.
void expect_steps_of_torch(const Json& goldens, const Json& golden, std::optional<Master> master) {
  Model model(goldens, *parse_dtype(golden["weights"].get<std::string>()));
  auto settings = settings_of(golden);
  if (master) settings.master_weights = master;
  Adam adam(model.parameters, settings);
  for (int64_t step = 0; step < 60; ++step) {
    model.set_grads(step);
    adam.step(lr_at(step), wd_at(step));
    const std::string shown = std::to_string(step + 1);
    if (!golden["shown"].contains(shown)) continue;
    const auto state = adam.state();
    ASSERT_EQ(state.size(), 4u);
    for (int i = 0; i < 4; ++i) {
      const auto& expected = golden["shown"][shown][kNames[i]];
      const auto& ours = state.at(kNames[i]);
      const auto what = golden["name"].get<std::string>() + " step " + shown + " " + kNames[i] + " ";
      expect_near(model.weight(i), expected["weight"], what + "weight");
      expect_near(ours.exp_avg, expected["exp_avg"], what + "exp_avg");
      expect_near(ours.exp_avg_sq, expected["exp_avg_sq"], what + "exp_avg_sq");
      EXPECT_EQ(ours.step.item<double>(), expected["step"].get<double>()) << what;
      const auto full = ours.remainder.defined() ? kernels::join_weight(model.weight(i), ours.remainder) : ours.master;
      ASSERT_EQ(full.defined(), expected.contains("master")) << what;
      if (full.defined()) {
        expect_near(full, expected["master"], what + "master");
        EXPECT_TRUE(at::equal(full.to(model.weight(i).scalar_type()), model.weight(i))) << what;
      }
      ASSERT_EQ(ours.max_exp_avg_sq.defined(), expected.contains("max_exp_avg_sq")) << what;
      if (ours.max_exp_avg_sq.defined()) expect_near(ours.max_exp_avg_sq, expected["max_exp_avg_sq"], what + "max");
    }
  }
}

TEST(Adam, SixtyStepsEqualTorchOptim) {
  const Json goldens = load_goldens("adam_goldens.json");
  ASSERT_EQ(goldens["cases"].size(), 12u);
  for (const auto& golden : goldens["cases"]) expect_steps_of_torch(goldens, golden, std::nullopt);
}

TEST(Adam, SixtyStepsWithSplitMastersEqualTorchOptim) {
  const Json goldens = load_goldens("adam_goldens.json");
  int tried = 0;
  for (const auto& golden : goldens["cases"])
    if (golden["weights"] == "bfloat16" && golden["master"])
      expect_steps_of_torch(goldens, golden, Master::Split), ++tried;
  EXPECT_EQ(tried, 1);
}

TEST(Adam, AnyWrongKnobIsSeenByTheGoldens) {
  const Json goldens = load_goldens("adam_goldens.json");
  const auto distance = [&](const std::function<void(AdamSettings&)>& spoil, double lr_factor) {
    Model model(goldens, at::kFloat);
    AdamSettings settings = settings_of(goldens["cases"][0]);
    spoil(settings);
    Adam adam(model.parameters, settings);
    for (int64_t step = 0; step < 10; ++step) {
      model.set_grads(step);
      adam.step(lr_at(step) * lr_factor, wd_at(step));
    }
    double worst = 0;
    const auto ours = model.weight(3).to(at::kDouble).view({-1});
    for (int64_t i = 0; i < ours.numel(); ++i)
      worst = std::max(worst, std::abs(ours[i].item<double>() -
                                       goldens["cases"][0]["shown"]["10"][kNames[3]]["weight"][i].get<double>()));
    return worst;
  };
  EXPECT_LT(distance([](AdamSettings&) {}, 1), 1e-6);
  EXPECT_GT(distance([](AdamSettings&) {}, 1.001), 1e-6);
  EXPECT_GT(distance([](AdamSettings& s) { s.decoupled = false; }, 1), 1e-5);
  EXPECT_GT(distance([](AdamSettings& s) { s.beta1 = 0.899; }, 1), 1e-5);
  EXPECT_GT(distance([](AdamSettings& s) { s.beta2 = 0.99; }, 1), 1e-5);
}

TEST(Adam, MasterWeightsKeepUpdatesThatBf16WouldLose) {
  const auto train = [](std::optional<Master> master) {
    auto parameter = std::make_shared<Parameter>("w", std::vector<int64_t>{4}, at::kBFloat16, Init{});
    parameter->set_value(at::full({4}, 1.0, at::kBFloat16));
    AdamSettings settings;
    settings.master_weights = master;
    Adam adam({parameter}, settings);
    set_grad(*parameter, at::full({4}, 1.0, at::kFloat));
    for (int i = 0; i < 100; ++i) adam.step(1e-4, 0);  // each update is a twentieth of bf16's unit below 1
    return parameter->value()[0].item<double>();
  };
  EXPECT_NEAR(train(std::nullopt), 0.99, 0.002);
  EXPECT_EQ(train(Master::None), 1.0);  // fp32 states alone do not help
}

TEST(Adam, ContinuesBitForBitFromItsState) {
  const Json goldens = load_goldens("adam_goldens.json");
  for (const auto& golden : goldens["cases"]) {
    const auto dtype = *parse_dtype(golden["weights"].get<std::string>());
    Model whole(goldens, dtype), resumed(goldens, dtype);
    Adam first(whole.parameters, settings_of(golden));
    const auto train = [](Adam& adam, Model& model, int64_t from, int64_t to) {
      for (int64_t step = from; step < to; ++step) model.set_grads(step), adam.step(lr_at(step), wd_at(step));
    };
    train(first, whole, 0, 20);
    std::map<std::string, at::Tensor> saved;
    for (const auto& [name, tensor] : first.state_tensors()) saved[name] = tensor.clone();
    Adam second(resumed.parameters, settings_of(golden));
    for (int i = 0; i < 4; ++i) resumed.weight(i).copy_(whole.weight(i));
    second.restore(saved);
    train(first, whole, 20, 40);
    train(second, resumed, 20, 40);
    for (int i = 0; i < 4; ++i)
      EXPECT_TRUE(at::equal(whole.weight(i), resumed.weight(i))) << golden["name"] << kNames[i];
  }
}

TEST(Adam, RestoreRefusesWhatDoesNotFitAndChangesNothing) {
  const Json goldens = load_goldens("adam_goldens.json");
  Model model(goldens, at::kBFloat16);
  Adam adam(model.parameters, {});
  model.set_grads(0);
  adam.step(1e-2, 0);
  const auto before = model.weight(0).clone();
  auto tensors = adam.state_tensors();
  for (auto& [name, tensor] : tensors) tensor = tensor.clone().zero_();
  const std::string key = std::string(kNames[0]) + ".exp_avg";

  auto missing = tensors;
  missing.erase(key);
  EXPECT_THAT(message_of([&] { adam.restore(missing); }),
              HasSubstr("optimizer state layers.0.q.weight.exp_avg: is missing"));
  auto shaped = tensors;
  shaped[key] = at::full({4, 5}, 0.0, at::kFloat);
  EXPECT_THAT(message_of([&] { adam.restore(shaped); }), HasSubstr("has shape [4, 5], expected [4, 6]"));
  auto unknown = tensors;
  unknown["other.exp_avg"] = at::full({1}, 0.0, at::kFloat);
  EXPECT_THAT(message_of([&] { adam.restore(unknown); }), HasSubstr("other.exp_avg: is in the checkpoint, but"));
  EXPECT_TRUE(at::equal(model.weight(0), before));
  adam.restore(tensors);
  EXPECT_EQ(model.weight(0).abs().sum().item<double>(), 0);  // the master rewrites its weight
}

TEST(Adam, TakesTiedParametersOnceAndFrozenOnesNever) {
  const Json goldens = load_goldens("adam_goldens.json");
  Model model(goldens, at::kFloat);
  model.parameters[1]->trainable = false;
  model.parameters.push_back(model.parameters[2]);
  Adam adam(model.parameters, {});
  EXPECT_EQ(adam.parameters().size(), 2u);
  EXPECT_FALSE(adam.state().contains(kNames[2]));
  const auto frozen = model.weight(2).clone();
  model.set_grads(0);
  adam.step(0.1, 0);
  EXPECT_EQ(adam.state().at(kNames[3]).step.item<double>(), 1);
  EXPECT_TRUE(at::equal(frozen, model.weight(2)));
}

TEST(Adam, OverridesThatCannotHoldAreRefused) {
  const Json goldens = load_goldens("adam_goldens.json");
  Model model(goldens, at::kFloat);
  const auto make = [&](std::vector<config::ParamGroupOverride> overrides) {
    return message_of([&] {
      AdamSettings settings;
      settings.param_group_overrides = overrides;
      Adam(model.parameters, settings);
    });
  };
  EXPECT_THAT(make({{"nothing", 1, 1}}),
              HasSubstr("optimizer.param_group_overrides[0].pattern: 'nothing' matches no trainable parameter"));
  EXPECT_THAT(make({{"weight", 1, 1}, {"norm", 1, 1}}),
              HasSubstr("[1].pattern: 'norm' matches only parameters that earlier patterns take"));
  EXPECT_THAT(make({{"(", 1, 1}}), HasSubstr("is no regular expression"));
  EXPECT_THAT(make({{"norm", -1, 1}}), HasSubstr("must be at least 0"));
  EXPECT_THAT(message_of([&] { Adam({}, AdamSettings{}); }), HasSubstr("has no trainable parameter"));
}

TEST(Adam, SetsTheDtypeOfGradients) {
  Model model(load_goldens("adam_goldens.json"), at::kBFloat16);
  AdamSettings settings;
  settings.grad_dtype = at::kBFloat16;
  Adam(model.parameters, settings);
  for (const auto& parameter : model.parameters) EXPECT_EQ(parameter->grad_dtype, at::kBFloat16);
}

TEST(Adam, StateBytesAreThoseAllocated) {
  const Json goldens = load_goldens("adam_goldens.json");
  for (const auto& golden : goldens["cases"]) {
    Model model(goldens, *parse_dtype(golden["weights"].get<std::string>()));
    const auto settings = settings_of(golden);
    Adam adam(model.parameters, settings);
    uint64_t bytes = 0;
    for (const auto& [name, tensor] : adam.state_tensors())
      if (!name.ends_with(".step")) bytes += tensor.nbytes();
    EXPECT_EQ(bytes, Adam::state_bytes(model.parameters, settings)) << golden["name"];
  }
}

}  // namespace
}  // namespace automodel::optim
