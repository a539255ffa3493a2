// A hundred steps of the bundled model on the bundled chats in bf16, all weights and adapters, against the same steps
// in fp32: whole runs of the program.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "automodel/tensor/testing.h"
#include "tests/gpu/twins.h"
#include "tests/program/tiny.h"

namespace automodel::gpu {
namespace {

using program::Arguments;

struct Curve {
  std::vector<double> loss, norm;
};

Curve train(const std::string& dtype, const Arguments& more) {
  const TemporaryFolder folder;
  Arguments arguments = {(parity::source_folder() / "configs/quickstart.yaml").string(),
                         "--device",
                         test_device().is_cuda() ? "cuda" : "cpu",
                         "--model.torch_dtype",
                         dtype,
                         "--packed_sequence.packed_sequence_size",
                         test_device().is_cuda() ? "512" : "128",
                         "--step_scheduler.global_batch_size",
                         "1",
                         "--step_scheduler.local_batch_size",
                         "1",
                         "--step_scheduler.max_steps",
                         "100",
                         "--step_scheduler.val_every_steps",
                         "1000",
                         "--lr_scheduler.lr_warmup_steps",
                         "10",
                         "--clip_grad_norm.max_norm",
                         "1",
                         "--checkpoint.enabled",
                         "false",
                         "--checkpoint.checkpoint_dir",
                         (folder / "out").string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  program::expect_success(program::run(arguments, {.folder = parity::source_folder()}));
  Curve curve;
  for (const auto& line : program::read_lines(folder / "out/training.jsonl")) {
    curve.loss.push_back(line.at("loss"));
    curve.norm.push_back(line.at("grad_norm"));
  }
  return curve;
}

double mean(const std::vector<double>& values, size_t begin, size_t count) {
  const auto first = values.begin() + static_cast<int64_t>(begin);
  return std::accumulate(first, first + static_cast<int64_t>(count), 0.0) / static_cast<double>(count);
}

// The loss of a step is a mean over some hundred labels whose logits are each off by a few u = 2^-8 of their size, in
// either direction, and the weights' path adds as much: 6 u of the loss covers a step, and ten steps' mean, over which
// the signs differ, a third of it. The gradient's norm is less steady: a fifth. A run that loses its updates (no
// masters: they are smaller than a weight's last bit) or its adapters stays near the first loss, 20 u and more away.
void expect_curve(const Curve& bf16, const Curve& fp32) {
  constexpr double kUnit = 0x1p-8;
  ASSERT_EQ(fp32.loss.size(), 100u);
  ASSERT_EQ(bf16.loss.size(), 100u);
  double worst = 0, worst_mean = 0;
  for (size_t step = 0; step < 100; ++step) {
    const double off = std::abs(bf16.loss[step] - fp32.loss[step]) / fp32.loss[step];
    worst = std::max(worst, off);
    EXPECT_LE(off, 6 * kUnit) << "step " << step << ": " << bf16.loss[step] << ", fp32 " << fp32.loss[step];
    EXPECT_NEAR(bf16.norm[step], fp32.norm[step], 0.2 * fp32.norm[step]) << "step " << step;
  }
  for (size_t step = 0; step < 100; step += 10) {
    const double ours = mean(bf16.loss, step, 10), theirs = mean(fp32.loss, step, 10);
    worst_mean = std::max(worst_mean, std::abs(ours - theirs) / theirs);
    EXPECT_NEAR(ours, theirs, 2 * kUnit * theirs) << "mean of ten steps from " << step;
  }
  std::printf("  from %.4f to %.4f; a step is off by at most %.2f u, ten by %.2f u\n", mean(fp32.loss, 0, 10),
              mean(fp32.loss, 90, 10), worst / kUnit, worst_mean / kUnit);
  EXPECT_LT(mean(fp32.loss, 90, 10), (1 - 20 * kUnit) * mean(fp32.loss, 0, 10)) << "too little is learnt to tell";
}

TEST(HundredSteps, OfAllWeightsInBf16FollowFp32) {
  const auto fp32 = train("float32", {});
  expect_curve(train("bfloat16", {}), fp32);
}

TEST(HundredSteps, OfAdaptersInBf16FollowFp32) {
  const Arguments lora = {"--peft._target_",
                          "nemo_automodel.components._peft.lora.PeftConfig",
                          "--peft.match_all_linear",
                          "true",
                          "--peft.dim",
                          "16",
                          "--peft.alpha",
                          "32",
                          "--optimizer.lr",
                          "2.0e-3"};
  const auto fp32 = train("float32", lora);
  expect_curve(train("bfloat16", lora), fp32);
}

}  // namespace
}  // namespace automodel::gpu
