// Signals and kills: what was saved stays whole, and the run goes on as if nothing had happened.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;

const Arguments kLong = {
    "--step_scheduler.num_epochs", "100000", "--step_scheduler.save_checkpoint_every_epoch", "false",
    "--dataloader.shuffle",        "true"};

Arguments for_steps(size_t steps, const Arguments& more = {}) {
  Arguments all = kLong;
  all.insert(all.end(), {"--step_scheduler.max_steps", std::to_string(steps)});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<std::string> uninterrupted(size_t steps) {
  TemporaryFolder folder;
  expect_success(
      run(with(write_run(folder.path()), for_steps(steps, {"--step_scheduler.ckpt_every_steps", "1000000"}))));
  return steps_of(folder / "out");
}

class Signal : public testing::TestWithParam<int> {};

TEST_P(Signal, FinishesTheStepSavesSaysHowToGoOnAndGoesOnAsIfNothingHadHappened) {
  TemporaryFolder folder;
  const auto config = write_run(folder.path());
  Running running(with(config, for_steps(1000000, {"--step_scheduler.ckpt_every_steps", "1000000"})));
  ASSERT_TRUE(running.wait_until([&] { return read_lines(folder / "out/training.jsonl").size() >= 3; }));
  running.send(GetParam());
  const auto stopped = running.wait();
  EXPECT_EQ(stopped.exit_code, 128 + GetParam());
  EXPECT_EQ(stopped.out, "");
  const auto made = steps_of(folder / "out").size();
  const auto saved = fmt::format("epoch_{}_step_{}",
                                 read_lines(folder / "out/training.jsonl").back().at("epoch").get<int>(), made - 1);
  for (const auto& words :
       {std::string("stopping after this step"), fmt::format("stopped by signal {} after {} steps", GetParam(), made),
        (folder / "out" / saved).string(), std::string("go on with the same command")})
    EXPECT_THAT(stopped.err, testing::HasSubstr(words));
  EXPECT_EQ(fs::read_symlink(folder / "out/LATEST"), saved);
  EXPECT_EQ(run({"checkpoint", "verify", (folder / "out/LATEST").string()}).exit_code, 0);

  expect_success(run(with(config, for_steps(made + 4))));
  EXPECT_EQ(steps_of(folder / "out"), uninterrupted(made + 4));
}

INSTANTIATE_TEST_SUITE_P(Both, Signal, testing::Values(SIGTERM, SIGINT),
                         [](const auto& info) { return info.param == SIGTERM ? "SIGTERM" : "SIGINT"; });

// One step over 1,400 chats takes seconds, so that both signals come within it.
TEST(SecondSignal, StopsAtOnceAndSavesNothing) {
  TemporaryFolder folder;
  const auto config = write_run(folder.path());
  write_chats(folder / "train.jsonl", 1400);
  Running running(with(config, {"--step_scheduler.global_batch_size", "1400", "--dataset.seq_length", "512"}));
  ASSERT_TRUE(running.wait_until([&] { return running.handles(SIGTERM); }));
  running.send(SIGTERM);
  ASSERT_TRUE(
      running.wait_until([&] { return running.err_so_far().find("send the signal again") != std::string::npos; }));
  running.send(SIGTERM);
  const auto stopped = running.wait();
  EXPECT_EQ(stopped.exit_code, 128 + SIGTERM);
  EXPECT_THAT(stopped.err, testing::Not(testing::HasSubstr("saved")));
  EXPECT_EQ(steps_of(folder / "out").size(), 0u);
  EXPECT_FALSE(fs::exists(fs::symlink_status(folder / "out/LATEST")));
}

// The checkpoint that LATEST names, by links to its files, in a run's folder of its own: a published one is never
// written to again.
void keep_newest(const fs::path& run, const fs::path& kept) {
  const auto name = fs::read_symlink(run / "LATEST");
  fs::create_directories(kept);
  fs::copy(run / name, kept / name, fs::copy_options::recursive | fs::copy_options::create_hard_links);
}

// kill -9 while every step is saved: a step takes some 30 ms, most of them in the save. Each run begins where the
// newest checkpoint is, so the start of the next one shows that it loads; all are verified, file by file, at the end in
// one process, which keeps fifty kills below a minute.
TEST(Kill, TheNewestCheckpointIsWholeAfterFiftyKillsAtRandomPointsAndTheRunGoesOn) {
  TemporaryFolder folder;
  const auto config = write_run(folder.path());
  const fs::path latest = folder / "out/LATEST";
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  const auto newest = [&] {
    std::error_code none;
    return fs::read_symlink(latest, none).string();
  };
  int in_the_save = 0;
  for (int kill = 0; kill < 50; ++kill) {
    const auto before = newest();
    Running running(with(config, for_steps(1000000, {"--step_scheduler.ckpt_every_steps", "1",
                                                     "--checkpoint.max_recent_checkpoints", "2"})));
    ASSERT_TRUE(running.wait_until([&] { return newest() != before; }))
        << "kill " << kill << ": the run did not go on\n"
        << running.err_so_far();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60000));
    running.send(SIGKILL);
    EXPECT_EQ(running.wait().exit_code, 128 + SIGKILL);
    const auto names = names_in(folder / "out");
    in_the_save +=
        std::any_of(names.begin(), names.end(), [](const auto& name) { return name.starts_with(".saving-"); });
    keep_newest(folder / "out", folder / "kept");
  }
  const auto verified = run({"checkpoint", "verify", (folder / "kept").string()});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  EXPECT_EQ(names_in(folder / "kept").size(), 50u);
  EXPECT_GT(in_the_save, 0) << "no kill came while a checkpoint was being written";

  const size_t steps = static_cast<size_t>(std::stoul(newest().substr(newest().rfind('_') + 1))) + 3;
  expect_success(run(with(config, for_steps(steps, {"--step_scheduler.ckpt_every_steps", "1",
                                                    "--checkpoint.max_recent_checkpoints", "2"}))));
  EXPECT_EQ(steps_of(folder / "out"), uninterrupted(steps));
  for (const auto& name : names_in(folder / "out"))
    EXPECT_FALSE(name.starts_with(".saving-") || name.starts_with(".deleting-")) << name;
}

}  // namespace
}  // namespace automodel::program
