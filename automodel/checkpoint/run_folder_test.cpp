#include "automodel/checkpoint/run_folder.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/random.h"
#include "automodel/base/testing.h"
#include "automodel/checkpoint/model_folder.h"
#include "automodel/checkpoint/run_state.h"
#include "automodel/checkpoint/verify.h"

namespace automodel::checkpoint {
namespace {
namespace fs = std::filesystem;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A checkpoint whose every tensor holds its step.
std::vector<FileRecord> write_step(const fs::path& hidden, int64_t step, int64_t size = 500) {
  const std::vector<NamedTensor> tensors{{"a", at::full({size}, static_cast<double>(step)), {}},
                                         {"b", at::full({size}, static_cast<double>(step)), {}}};
  std::vector<FileRecord> records;
  for (auto& record : write_model_folder(hidden / "model", tensors, {.config = "{}"}, {.max_shard_size_bytes = 2000})) {
    record.path = "model/" + record.path;
    records.push_back(record);
  }
  for (auto& record : write_run_state(hidden / "state", {.step = step}, tensors, {})) {
    record.path = "state/" + record.path;
    records.push_back(record);
  }
  std::ofstream(hidden / "config.yaml") << "step: " << step << "\n";  // not recorded: flushed and summed by save()
  return records;
}

fs::path save(RunFolder& run, int64_t step, std::optional<double> metric = {}) {
  return run.save(0, step, metric, [&](const fs::path& hidden) { return write_step(hidden, step); });
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(folder)) names.push_back(item.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(RunFolder, PublishesAndMovesTheLinks) {
  TemporaryFolder folder;
  RunFolder run(folder / "run");
  save(run, 1, 2.0);
  save(run, 2, 1.5);
  save(run, 3, 1.7);
  save(run, 4, std::nan(""));
  EXPECT_THAT(names_in(folder / "run"), ElementsAre(".lock", "BEST", "LATEST", "epoch_0_step_1", "epoch_0_step_2",
                                                    "epoch_0_step_3", "epoch_0_step_4"));
  EXPECT_EQ(fs::read_symlink(folder / "run/LATEST"), "epoch_0_step_4");
  EXPECT_EQ(fs::read_symlink(folder / "run/BEST"), "epoch_0_step_2");
  const auto view = open_run(folder / "run");
  EXPECT_EQ(view.checkpoints.size(), 4u);
  EXPECT_EQ(view.latest->step, 4);
  EXPECT_EQ(view.best->metric, 1.5);
  EXPECT_TRUE(verify(folder / "run").ok());
  EXPECT_EQ(verify(folder / "run/LATEST").checksums, 7);
}

TEST(RunFolder, NeverOverwritesAPublishedCheckpoint) {
  TemporaryFolder folder;
  RunFolder run(folder.path());
  save(run, 1);
  const std::string before = read_file(folder / "epoch_0_step_1/manifest.json");
  EXPECT_THAT(message_of<CheckpointError>([&] { save(run, 1); }),
              HasSubstr("a published checkpoint is never overwritten"));
  EXPECT_EQ(read_file(folder / "epoch_0_step_1/manifest.json"), before);
}

TEST(RunFolder, RetentionKeepsTheNewestAndWhatTheLinksName) {
  TemporaryFolder folder;
  RunFolder run(folder.path(), {.max_recent_checkpoints = 2});
  for (int step = 1; step <= 6; ++step) save(run, step, step == 2 ? 0.5 : 1.0);
  EXPECT_THAT(names_in(folder.path()),
              ElementsAre(".lock", "BEST", "LATEST", "epoch_0_step_2", "epoch_0_step_5", "epoch_0_step_6"));
}

TEST(RunFolder, RetentionCountsOnlyWholeOnesAndNeverDeletesLatest) {
  TemporaryFolder folder;
  {
    RunFolder run(folder.path());
    for (const int step : {10, 20, 30}) save(run, step);
  }
  fs::remove(folder / "epoch_0_step_30/model/config.json");
  {
    RunFolder run(folder.path(), {.max_recent_checkpoints = 1});
    save(run, 15);  // restored from an older one: LATEST is not the highest step
  }
  const auto view = open_run(folder.path());
  EXPECT_EQ(view.latest->step, 15);
  EXPECT_THAT(view.damaged, ElementsAre("epoch_0_step_30: model/config.json is missing"));
  EXPECT_THAT(names_in(folder.path()),
              ElementsAre(".lock", "LATEST", "epoch_0_step_15", "epoch_0_step_20", "epoch_0_step_30"));
}

TEST(RunFolder, DamagedOnesAreSetAsideWhereTheirStepsAreMadeAgain) {
  TemporaryFolder folder;
  RunFolder run(folder.path());
  for (const int step : {1, 2, 3, 4}) save(run, step);
  const auto damage = [&](const char* name) { fs::remove(folder / name / "model/config.json"); };
  damage("epoch_0_step_1"), damage("epoch_0_step_4");
  testing::internal::CaptureStderr();
  run.set_damaged_aside(4);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("not whole, passed over: epoch_0_step_1: model/config.json is missing; epoch_0_step_4: "
                        "model/config.json is missing (renamed to .damaged-epoch_0_step_4)\n"));
  save(run, 4);
  damage("epoch_0_step_4");
  run.set_damaged_aside(4);
  save(run, 4);
  EXPECT_THAT(names_in(folder.path()),
              ElementsAre(".damaged-epoch_0_step_4", ".damaged-epoch_0_step_4-2", ".lock", "LATEST", "epoch_0_step_1",
                          "epoch_0_step_2", "epoch_0_step_3", "epoch_0_step_4"));
  EXPECT_EQ(find_latest(folder.path())->step, 4);
}

TEST(RunFolder, AFailedSaveChangesNothing) {
  TemporaryFolder folder;
  RunFolder run(folder.path());
  save(run, 1, 1.0);
  const auto before = names_in(folder.path());
  EXPECT_THROW(run.save(0, 2, 0.5,
                        [](const fs::path& hidden) -> std::vector<FileRecord> {
                          write_step(hidden, 2);
                          throw NumericError("step 2", "NaN");
                        }),
               NumericError);
  EXPECT_EQ(names_in(folder.path()), before);
  EXPECT_EQ(open_run(folder.path()).best->step, 1);
  save(run, 2);
}

TEST(RunFolder, LeftoversOfKilledRunsAreCleared) {
  TemporaryFolder folder;
  {
    RunFolder run(folder.path());
    save(run, 1);
  }
  fs::create_directories(folder / ".saving-epoch_0_step_2/model");
  fs::create_directories(folder / ".deleting-epoch_0_step_0/model");
  fs::create_directory_symlink("epoch_0_step_9", folder / ".moving-BEST");
  EXPECT_EQ(find_latest(folder.path())->step, 1);
  RunFolder run(folder.path());
  EXPECT_THAT(names_in(folder.path()), ElementsAre(".lock", "LATEST", "epoch_0_step_1"));
}

TEST(RunFolder, AnInterruptedMoveOfTheLinksIsFinished) {
  TemporaryFolder folder;
  {
    RunFolder run(folder.path());
    save(run, 1, 1.0), save(run, 2, 0.5);
  }
  for (const char* link :
       {"LATEST", "BEST"}) {  // as after a kill between the rename of the checkpoint and that of the links
    fs::rename(folder / link, folder / (std::string(".moving-") + link));
    fs::create_directory_symlink("epoch_0_step_1", folder / link);
  }
  EXPECT_EQ(find_latest(folder.path())->step, 2);
  EXPECT_EQ(find_checkpoint(folder.path(), "BEST").step, 2);
  RunFolder run(folder.path());
  EXPECT_EQ(fs::read_symlink(folder / "LATEST"), "epoch_0_step_2");
  EXPECT_EQ(fs::read_symlink(folder / "BEST"), "epoch_0_step_2");
}

TEST(RunFolder, OneWriterAtATime) {
  TemporaryFolder folder;
  RunFolder run(folder.path());
  EXPECT_THAT(message_of<CheckpointError>([&] { RunFolder second(folder.path()); }),
              HasSubstr("another process is writing"));
}

TEST(RunFolder, RestoreFromNamesPathsAndLinks) {
  TemporaryFolder folder;
  {
    RunFolder run(folder / "run");
    save(run, 1, 1.0), save(run, 2, 2.0);
  }
  const auto run = folder / "run";
  EXPECT_EQ(find_checkpoint(run, "LATEST").step, 2);
  EXPECT_EQ(find_checkpoint(run, "BEST").step, 1);
  EXPECT_EQ(find_checkpoint(run, "epoch_0_step_1").step, 1);
  EXPECT_EQ(find_checkpoint(folder / "other", (run / "epoch_0_step_2").string()).step, 2);
  EXPECT_EQ(find_checkpoint(folder / "other", run.string()).step, 2);
  EXPECT_THAT(message_of<CheckpointError>([&] { find_checkpoint(run, "epoch_0_step_3"); }),
              HasSubstr("there are epoch_0_step_1, epoch_0_step_2"));
  fs::resize_file(run / "epoch_0_step_2/state/state.json", 3);
  EXPECT_THAT(message_of<CheckpointError>([&] { find_checkpoint(run, "epoch_0_step_2"); }),
              HasSubstr("state/state.json has 3 bytes, expected"));
  EXPECT_EQ(find_latest(run)->step, 1) << "the newest whole one";
}

TEST(RunFolder, FoldersThatAreNoRun) {
  TemporaryFolder folder;
  EXPECT_FALSE(find_latest(folder / "none"));
  EXPECT_FALSE(find_latest(folder.path()));
  EXPECT_THAT(message_of<CheckpointError>([&] { open_run(folder / "none"); }), HasSubstr("is no folder"));
  EXPECT_THAT(message_of<CheckpointError>([&] { open_run(folder.path()); }), HasSubstr("is not the folder of a run"));
  EXPECT_THAT(message_of<CheckpointError>([&] { verify(folder.path()); }), HasSubstr("is not the folder of a run"));
  EXPECT_THAT(message_of<CheckpointError>([&] { find_checkpoint(folder.path(), folder.path().string()); }),
              HasSubstr("holds no manifest.json"));
  std::ofstream(folder / "file") << "x";
  EXPECT_THROW(RunFolder(folder / "file"), SystemError);
}

TEST(RunFolder, AFullDiskLeavesTheOldCheckpointAndNothingElse) {
  TemporaryFolder folder;
  fs::create_directory(folder / "disk");
  if (::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", 0, "size=400k") != 0)
    GTEST_SKIP() << "a small tmpfs cannot be mounted (needs root)";
  {
    RunFolder run(folder / "disk");
    save(run, 1);
    const auto before = names_in(folder / "disk");
    EXPECT_THAT(message_of<SystemError>(
                    [&] { run.save(0, 2, {}, [](const fs::path& hidden) { return write_step(hidden, 2, 100'000); }); }),
                HasSubstr("No space left on device"));
    EXPECT_EQ(names_in(folder / "disk"), before);
    EXPECT_TRUE(verify(folder / "disk").ok());
    save(run, 2);
  }
  EXPECT_EQ(::umount((folder / "disk").c_str()), 0);
}

TEST(RunFolder, KilledAtAnyPointTheNewestPublishedCheckpointLoads) {
  // In memory where possible: a kill loses no page that was written, and a save takes 2 ms instead of 100.
  TemporaryFolder folder(fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path());
  const fs::path path = folder / "run";
  int64_t last = 0;
  for (uint64_t round = 0; round < 50; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        RunFolder run(path, {.max_recent_checkpoints = 2});
        for (int64_t step = last + 1;; ++step) save(run, step, 100.0 - static_cast<double>(step % 7));
      } catch (...) {
        ::_exit(3);  // the parent sees that the child was not killed
      }
    }
    std::this_thread::sleep_for(
        std::chrono::microseconds(static_cast<int64_t>(2'000 + uniform(RandomKey{round, 9}, 0) * 30'000)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "round " << round << ": the child ended by itself with " << WEXITSTATUS(status);
    const auto latest = find_latest(path);
    if (!latest) continue;  // killed before the first
    ASSERT_GE(latest->step, last) << "round " << round;
    last = latest->step;
    const auto report = verify(latest->path);
    ASSERT_THAT(report.faults, IsEmpty()) << "round " << round;
    const auto state = open_run_state(latest->path / "state");
    ASSERT_EQ(state.record.step, last);
    const at::Tensor a = at::zeros({500});
    state.weights.copy_to("a", a);
    ASSERT_TRUE(at::equal(a, at::full({500}, static_cast<double>(last))));
    ASSERT_THAT(open_run(path).damaged, IsEmpty()) << "round " << round;
  }
  EXPECT_GT(last, 20) << "too few checkpoints were published to prove anything";
  RunFolder run(path);
  for (const auto& name : names_in(path)) EXPECT_TRUE(name == ".lock" || name.front() != '.') << name;
}

}  // namespace
}  // namespace automodel::checkpoint
