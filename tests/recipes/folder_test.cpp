// The folder of a run: which checkpoints stay, what LATEST and BEST name, what the logs say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> checkpoints_in(const fs::path& run) {
  auto names = names_in(run);
  std::erase_if(names, [](const auto& name) { return !name.starts_with("epoch_"); });
  return names;
}

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  return keys;
}

// A learning rate that goes up a hundredfold after the third step, so that the lowest validation loss comes early.
const Arguments kWorseLater = {"--step_scheduler.ckpt_every_steps",
                               "1",
                               "--step_scheduler.max_steps",
                               "7",
                               "--optimizer.lr",
                               "2.0",
                               "--lr_scheduler.lr_decay_style",
                               "constant",
                               "--lr_scheduler.init_lr",
                               "0.0",
                               "--lr_scheduler.min_lr",
                               "0.0",
                               "--lr_scheduler.lr_warmup_steps",
                               "6",
                               "--lr_scheduler.lr_decay_steps",
                               "8"};

class RunFolder : public testing::Test {
 protected:
  fs::path config(int validation_rows = 4) {
    const auto file = write_run(folder_.path());
    write_chats(folder_ / "a.jsonl", validation_rows, 100);
    write_chats(folder_ / "b.jsonl", validation_rows, 200);
    std::string text = read_file(file);
    for (const char* set : {"validation_dataset", "validation_dataset_other"})
      text += std::string(set) +
              ":\n  _target_: nemo_automodel.components.datasets.llm.chat_dataset.ChatDataset\n  path_or_dataset_id: " +
              (folder_ / (std::string(set) == "validation_dataset" ? "a.jsonl" : "b.jsonl")).string() + "\n";
    write_file_atomically(file, text);
    return file;
  }
  fs::path out() const { return folder_ / "out"; }

  TemporaryFolder folder_;
};

TEST_F(RunFolder, KeepsTheNewestAndTheBestAndLinksBoth) {
  auto overrides = kWorseLater;
  overrides.insert(overrides.end(), {"--checkpoint.max_recent_checkpoints", "2"});
  expect_success(run(with(config(), overrides)));
  const auto validation = read_lines(out() / "validation.jsonl");
  ASSERT_EQ(validation.size(), 7u);
  const auto best = std::min_element(validation.begin(), validation.end(),
                                     [](const auto& a, const auto& b) { return a.at("val_loss") < b.at("val_loss"); });
  const auto best_name = "epoch_0_step_" + best->at("step").dump();
  ASSERT_LT(best->at("step").get<int>(), 5) << "the best one was to be older than the two that are kept";
  EXPECT_EQ(checkpoints_in(out()), (std::vector<std::string>{best_name, "epoch_0_step_5", "epoch_0_step_6"}));
  EXPECT_EQ(fs::read_symlink(out() / "LATEST"), "epoch_0_step_6");
  EXPECT_EQ(fs::read_symlink(out() / "BEST"), best_name);
  EXPECT_EQ(run({"checkpoint", "verify", out().string()}).exit_code, 0);

  // A run that goes on must not forget which was best.
  const auto at = std::find(overrides.begin(), overrides.end(), "--step_scheduler.max_steps") - overrides.begin();
  overrides[static_cast<size_t>(at) + 1] = "8";
  expect_success(run(with(folder_ / "run.yaml", overrides)));
  EXPECT_EQ(fs::read_symlink(out() / "BEST"), best_name);
  EXPECT_EQ(checkpoints_in(out()), (std::vector<std::string>{best_name, "epoch_0_step_6", "epoch_0_step_7"}));
}

TEST_F(RunFolder, LogsHaveNemoAutoModelsFieldNames) {
  expect_success(run(with(config(), {"--step_scheduler.max_steps", "4", "--step_scheduler.val_every_steps", "2"})));
  const auto training = read_lines(out() / "training.jsonl");
  ASSERT_EQ(training.size(), 4u);
  EXPECT_EQ(keys_of(training[0]),
            (std::vector<std::string>{"step", "epoch", "timestamp", "loss", "grad_norm", "lr", "mem", "tps",
                                      "tps_per_gpu", "mfu", "num_tokens_per_step", "num_label_tokens"}));
  EXPECT_THAT(training[0].at("timestamp").get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:..[.]...Z"));
  for (const char* file : {"validation.jsonl", "validation_other.jsonl"}) {
    const auto validation = read_lines(out() / file);
    ASSERT_EQ(validation.size(), 2u) << file;
    EXPECT_EQ(keys_of(validation[0]),
              (std::vector<std::string>{"step", "epoch", "timestamp", "val_loss", "lr", "num_label_tokens", "mem"}));
    EXPECT_EQ(validation[0].at("step"), 1);
    EXPECT_EQ(validation[1].at("step"), 3);
  }
  EXPECT_NE(read_lines(out() / "validation.jsonl")[0].at("val_loss"),
            read_lines(out() / "validation_other.jsonl")[0].at("val_loss"));
  EXPECT_THAT(names_in(out() / "tensorboard"), testing::ElementsAre(testing::StartsWith("events.out.tfevents.")));
  EXPECT_EQ(run({"check", (out() / "config.yaml").string()}).exit_code, 0)
      << "the effective configuration is one that can be run";
}

TEST_F(RunFolder, TheEffectiveConfigurationMakesTheSameRun) {
  expect_success(run(with(config(), {"--step_scheduler.max_steps", "3", "--optimizer.lr", "0.003"})));
  const auto first = steps_of(out());
  fs::copy_file(out() / "config.yaml", folder_ / "again.yaml");
  expect_success(run(with(folder_ / "again.yaml", {"--checkpoint.checkpoint_dir", (folder_ / "again").string()})));
  EXPECT_EQ(steps_of(folder_ / "again"), first);
}

TEST_F(RunFolder, CheckpointsOffWritesOnlyTheLogs) {
  expect_success(run(with(config(), {"--checkpoint.enabled", "false", "--step_scheduler.max_steps", "2"})));
  EXPECT_THAT(checkpoints_in(out()), testing::IsEmpty());
  EXPECT_EQ(steps_of(out()).size(), 2u);
}

TEST_F(RunFolder, SaveConsolidatedSaysWhichCheckpointsHoldAModelFolder) {
  expect_success(run(with(config(), {"--checkpoint.save_consolidated", "final", "--step_scheduler.ckpt_every_steps",
                                     "2", "--step_scheduler.max_steps", "4"})));
  EXPECT_FALSE(fs::exists(out() / "epoch_0_step_1/model"));
  EXPECT_TRUE(fs::exists(out() / "epoch_0_step_3/model/config.json"));
  EXPECT_TRUE(fs::exists(out() / "epoch_0_step_1/state"));
}

TEST_F(RunFolder, IsLockedWhileARunWritesToIt) {
  const auto file = config();
  Running first(with(
      file, {"--step_scheduler.max_steps", "1000000", "--step_scheduler.num_epochs", "1000000",
             "--step_scheduler.save_checkpoint_every_epoch", "false", "--step_scheduler.ckpt_every_steps", "1000000"}));
  ASSERT_TRUE(first.wait_until([&] { return !steps_of(out()).empty(); }));
  expect_error(run(with(file, {})), 1, {out().string(), "another process is writing"});
  expect_error(run(with(file, {"--checkpoint.enabled", "false"})), 1, {out().string(), "another process is writing"});
  EXPECT_FALSE(steps_of(out()).empty());
}

}  // namespace
}  // namespace automodel::program
