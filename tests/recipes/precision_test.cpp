// What bf16 weights keep, the loss scale of float16, steps that are skipped, and runs that repeat themselves to the
// bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

Arguments joined(const std::vector<Arguments>& parts) {
  Arguments all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Arguments steps(int count) { return {"--step_scheduler.max_steps", std::to_string(count)}; }

// On a GPU where AUTOMODEL_TEST_DEVICE says so, as in tests/gpu/run.
Arguments device() {
  const char* name = std::getenv("AUTOMODEL_TEST_DEVICE");
  return {"--device", name ? name : "cpu"};
}

struct Trained {
  TemporaryFolder folder;
  fs::path config = write_run(folder.path());
  std::string err;

  explicit Trained(const Arguments& overrides) { go_on(overrides); }
  void go_on(const Arguments& overrides) {
    const auto finished = run(with(config, joined({device(), overrides})));
    expect_success(finished);
    err = finished.err;
  }
  fs::path out() const { return folder / "out"; }
  std::vector<Json> lines() const { return read_lines(out() / "training.jsonl"); }
  // The values of a key of training.jsonl, a step each.
  std::vector<double> column(const std::string& name) const {
    std::vector<double> values;
    for (const auto& line : lines()) values.push_back(line.at(name).is_null() ? NAN : line.at(name).get<double>());
    return values;
  }
  std::string weights() const {
    const auto last = fs::read_symlink(out() / "LATEST");
    const auto model = out() / last / "model/model.safetensors";
    return read_file(fs::exists(model) ? model : out() / last / "model/adapter_model.safetensors");
  }
};

const Arguments kBfloat16 = {"--model.torch_dtype", "bfloat16"};
Arguments masters(const std::string& word) { return joined({kBfloat16, {"--optimizer.master_weights", word}}); }

// 8 steps, and 4 and 4 in two processes.
void expect_same_when_resumed(const Arguments& overrides, const std::vector<std::string>& columns = {}) {
  Trained whole(joined({overrides, steps(8)})), parts(joined({overrides, steps(4)}));
  ASSERT_EQ(parts.lines().size(), 4u);
  parts.go_on(joined({overrides, steps(8)}));
  EXPECT_THAT(parts.err, HasSubstr("resumed from"));
  EXPECT_EQ(steps_of(parts.out()), steps_of(whole.out()));
  for (const auto& name : columns) EXPECT_EQ(parts.column(name), whole.column(name)) << name;
  EXPECT_EQ(parts.weights(), whole.weights());
}

TEST(MasterWeightsOfARun, SplitOnesMakeTheRunOfFullOnesBitForBit) {
  const Trained full(joined({masters("true"), steps(8)})), split(joined({masters("split"), steps(8)}));
  EXPECT_EQ(steps_of(split.out()), steps_of(full.out()));
  EXPECT_EQ(split.weights(), full.weights());
  const Trained none(joined({masters("false"), steps(8)}));
  EXPECT_NE(none.weights(), full.weights());
}

TEST(MasterWeightsOfARun, NemosWordForSplitOnesMeansThem) {
  const Trained ours(joined({masters("split"), steps(3)}));
  const Trained nemo(joined({kBfloat16,
                             steps(3),
                             {"--optimizer._target_", "transformer_engine.pytorch.optimizers.fused_adam.FusedAdam",
                              "--optimizer.store_param_remainders", "true"}}));
  EXPECT_EQ(nemo.weights(), ours.weights());
  EXPECT_THAT(read_file(nemo.out() / "config.yaml"), HasSubstr("master_weights: split"));
}

TEST(MasterWeightsOfARun, EachKindGoesOnBitForBit) {
  for (const auto* word : {"split", "stochastic", "false"}) {
    SCOPED_TRACE(word);
    expect_same_when_resumed(masters(word));
  }
}

TEST(MasterWeightsOfARun, ChanceBelongsToTheSeed) {
  const auto run_of = [](const char* seed) {
    // Of a fixed model and order of data: all else is the same.
    return Trained(joined({masters("stochastic"), steps(2), {"--seed", seed}})).weights();
  };
  const auto once = run_of("7");
  EXPECT_EQ(run_of("7"), once);
  EXPECT_NE(run_of("8"), once);
}

TEST(MasterWeightsOfARun, OfFloat32WeightsAreSaidToBeIdle) {
  const std::string idle = "changes nothing: all trained weights are in float32";
  for (const std::string word : {"split", "stochastic"}) {
    const Trained float32(joined({steps(1), {"--optimizer.master_weights", word}}));
    const auto said = float32.err.find("warning: optimizer.master_weights: " + word + " " + idle);
    ASSERT_NE(said, std::string::npos) << float32.err;
    EXPECT_EQ(float32.err.find(idle, said + 60), std::string::npos) << "told twice";
    EXPECT_THAT(Trained(joined({masters(word), steps(1)})).err, Not(HasSubstr(idle)));
  }
  EXPECT_THAT(Trained(joined({steps(1), {"--optimizer.master_weights", "true"}})).err, Not(HasSubstr(idle)));
}

TEST(MasterWeightsOfARun, PlanCountsTheirBytes) {
  TemporaryFolder folder;
  const auto config = write_run(folder.path());
  const auto bytes_of = [&](const std::string& word) {
    auto arguments = with(config, masters(word));
    arguments.insert(arguments.begin(), "plan");
    arguments.push_back("--json");
    return json_of(arguments).at("memory_bytes").at("optimizer").get<int64_t>();
  };
  const int64_t none = bytes_of("false"), parameters = none / 8;
  EXPECT_EQ(bytes_of("true"), none + 4 * parameters);
  EXPECT_EQ(bytes_of("split"), none + 2 * parameters);
  EXPECT_EQ(bytes_of("stochastic"), none);
}

const Arguments kFloat16 = {"--model.torch_dtype", "float16"};
Arguments scaler(const std::string& key, const std::string& value) { return {"--grad_scaler." + key, value}; }

TEST(Float16, LearnsAsFloat32DoesAndLogsItsScale) {
  const Trained half(joined({kFloat16, steps(12)})), exact(steps(12));
  const auto ours = losses_of(half.out()), truth = losses_of(exact.out());
  ASSERT_EQ(ours.size(), 12u);
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], truth[i], 0.004 * truth[i]) << i;
  EXPECT_EQ(half.column("loss_scale"), std::vector<double>(12, 65536));
  EXPECT_EQ(half.column("skipped_steps"), std::vector<double>(12, 0));
  const auto norms = half.column("grad_norm"), norms_of_truth = exact.column("grad_norm");
  for (size_t i = 0; i < norms.size(); ++i) EXPECT_NEAR(norms[i], norms_of_truth[i], 0.05 * norms_of_truth[i]) << i;
  EXPECT_FALSE(exact.lines().front().contains("loss_scale"));
}

// A scale that is too large at first: steps are skipped until it fits, and nothing else is lost.
TEST(Float16, BacksOffWhereGradientsOverflowAndGrowsAgain) {
  const Trained run(joined({kFloat16, steps(14), scaler("init_scale", "1073741824"), scaler("backoff_factor", "0.25"),
                            scaler("growth_interval", "3")}));
  const auto scale = run.column("loss_scale"), skipped = run.column("skipped_steps"), norm = run.column("grad_norm");
  EXPECT_EQ(scale[0], 1073741824.0);
  EXPECT_TRUE(std::isnan(norm[0])) << "the first scale was to overflow";
  EXPECT_THAT(run.err, HasSubstr("a step was skipped: step 0: the gradients overflow at a loss scale of 1.07374e+09"));
  double count = 0, good = 0;
  for (size_t i = 0; i < scale.size(); ++i) {
    const bool overflow = std::isnan(norm[i]);
    count += overflow, good = overflow ? 0 : good + 1;
    EXPECT_EQ(skipped[i], count) << i;
    const double next = overflow ? scale[i] / 4 : good == 3 ? scale[i] * 2 : scale[i];
    if (!overflow && good == 3) good = 0;
    if (i + 1 < scale.size()) EXPECT_EQ(scale[i + 1], next) << i;
  }
  EXPECT_GE(count, 1);
  EXPECT_LT(count, 14);
  for (const double loss : losses_of(run.out())) EXPECT_TRUE(std::isfinite(loss));
}

TEST(Float16, GoesOnBitForBitWithItsScale) {
  expect_same_when_resumed(joined({kFloat16, scaler("init_scale", "1073741824"), scaler("backoff_factor", "0.25"),
                                   scaler("growth_interval", "3")}),
                           {"loss_scale", "skipped_steps"});
}

TEST(Float16, TrainsAdaptersToo) {
  const Trained run(joined({kFloat16, lora({"--peft.dim", "4"}), steps(6)}));
  const auto losses = losses_of(run.out());
  EXPECT_LT(losses.back(), losses.front());
  EXPECT_EQ(run.column("skipped_steps").back(), 0);
}

TEST(Float16, OverflowAtTheLeastScaleIsAFaultUnlessStepsMayBeSkipped) {
  const Arguments stuck =
      joined({kFloat16, device(), steps(3), scaler("init_scale", "1073741824"), scaler("min_scale", "1073741824")});
  TemporaryFolder folder;
  expect_error(run(with(write_run(folder.path()), stuck)), 1, {"step 0: gradient of ", "the weights were not updated"});
  const Trained skipping(joined({stuck, {"--optimizer.non_finite_gradients", "skip"}}));
  EXPECT_EQ(skipping.column("skipped_steps"), (std::vector<double>{1, 2, 3}));
  EXPECT_THAT(skipping.err, HasSubstr("a step was skipped: step 0: gradient of "));
}

TEST(NonFiniteGradients, ARunThatSkipsThemEndsAfterAHundredInARow) {
  TemporaryFolder folder;
  const auto finished =
      run(with(write_run(folder.path()), joined({device(),
                                                 steps(200),
                                                 {"--optimizer.non_finite_gradients", "skip", "--optimizer.lr", "1e30",
                                                  "--step_scheduler.num_epochs", "100"}})));
  expect_error(finished, 1, {"step 100: the last 100 steps had gradients that are not finite"});
  EXPECT_THAT(finished.err, HasSubstr("a step was skipped: step 1: gradient of model.embed_tokens.weight: "));
}

// Those before a checkpoint count on after it.
TEST(NonFiniteGradients, ARunThatGoesOnEndsWithTheSameStep) {
  const Arguments skipping = {"--optimizer.non_finite_gradients", "skip", "--optimizer.lr", "1e30",
                              "--step_scheduler.num_epochs",      "100"};
  const Trained first(joined({skipping, steps(60)}));
  expect_error(run(with(first.config, joined({device(), skipping, steps(200)}))), 1, {"step 100: the last 100 steps"});
}

TEST(Precision, WhatMakesNoSenseIsRefusedByRunAndCheck) {
  TemporaryFolder folder;
  const auto config = write_run(folder.path());
  const auto expect_refused = [&](const Arguments& overrides, const std::vector<std::string>& words) {
    expect_error(run(with(config, overrides)), 2, words);
    auto check = with(config, overrides);
    check.insert(check.begin(), "check");
    const auto checked = run(check);
    EXPECT_EQ(checked.exit_code, 2) << checked.err;
    for (const auto& word : words) EXPECT_THAT(checked.out + checked.err, HasSubstr(word));
  };
  expect_refused(joined({kBfloat16, scaler("enabled", "true")}), {"grad_scaler", "this one is in bfloat16"});
  expect_refused(scaler("init_scale", "1024"), {"grad_scaler", "this one is in float32"});
  expect_refused(joined({kFloat16, {"--optimizer.master_weights", "split"}}),
                 {"optimizer.master_weights", "is split, which is for bfloat16 weights"});
  expect_refused(joined({kFloat16, {"--optimizer.grad_dtype", "float16"}}), {"optimizer.grad_dtype"});
  expect_refused(joined({kFloat16, scaler("init_scale", "2"), scaler("min_scale", "4")}), {"grad_scaler.init_scale"});
  expect_refused({"--optimizer.state_dtype", "float16"}, {"optimizer.state_dtype"});
}

// Two processes, the same bits: losses, norms and weights. On a GPU (AUTOMODEL_TEST_DEVICE=cuda) in bf16, whose
// attention and products have fast ways that are not so.
TEST(Deterministic, TwoRunsAreEqualToTheBit) {
  for (const auto& kind : {kBfloat16, joined({kBfloat16, lora({"--peft.dropout", "0.1"})}), Arguments{}}) {
    const Arguments overrides = joined(
        {kind,
         steps(8),
         {"--deterministic", "true", "--dataloader.shuffle", "true", "--packed_sequence.packed_sequence_size", "512"}});
    const Trained one(overrides), two(overrides);
    EXPECT_EQ(steps_of(one.out()), steps_of(two.out()));
    EXPECT_EQ(one.weights(), two.weights());
  }
}

// Nothing on a GPU updates float64: said before weights are read, also where no GPU is.
TEST(Precision, OfFloat64IsForTheCpu) {
  TemporaryFolder folder;
  const auto file = write_run(folder.path()).string();
  const Arguments wide = {"--model.torch_dtype", "float64"}, gpu = {"--device", "cuda"};
  const auto planned = json_of(joined({{"plan", file, "--json", "--device", "cpu"}, wide}));
  EXPECT_EQ(planned.at("memory_bytes").at("gradients"), planned.at("parameters").get<int64_t>() * 8);
  for (const char* command : {"plan", "check"}) {
    const auto refused = run(joined({{command, file}, gpu, wide}));
    EXPECT_EQ(refused.exit_code, 3) << command;
    EXPECT_THAT(refused.out + refused.err,
                testing::AllOf(HasSubstr("model.torch_dtype: is float64"), HasSubstr("is trained on the CPU only")))
        << command;
    EXPECT_EQ(run(joined({{command, file}, gpu, {"--model.torch_dtype", "float32"}})).exit_code, 0) << command;
  }
  expect_error(run(joined({{file}, gpu, wide})), 3, {"model.torch_dtype", "float64"});
  if (device()[1] == "cuda")
    expect_error(run(joined({{file}, {"--device", "auto"}, wide})), 3,
                 {"model.torch_dtype", "is float64", "device: cpu"});
}

}  // namespace
}  // namespace automodel::program
