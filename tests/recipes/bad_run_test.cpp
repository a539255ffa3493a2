// Data that cannot be trained on, places that cannot be written to, numbers that go wrong: one clear error, and no half
// checkpoint.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;

class BadRun : public testing::Test {
 protected:
  void SetUp() override { config_ = write_run(folder_.path()); }
  fs::path out() const { return folder_ / "out"; }
  fs::path data() const { return folder_ / "train.jsonl"; }

  // No checkpoint and no half of one; what was there before is whole.
  void expect_no_checkpoint() const {
    if (!fs::exists(out())) return;
    for (const auto& name : names_in(out()))
      EXPECT_FALSE(name.starts_with("epoch_") || name.starts_with(".saving") || name == "LATEST" ||
                   name.ends_with(".tmp"))
          << name;
  }
  void expect_refused(int exit_code, const std::vector<std::string>& words, const Arguments& overrides = {}) {
    expect_error(run(with(config_, overrides)), exit_code, words);
    expect_no_checkpoint();
  }

  TemporaryFolder folder_;
  fs::path config_;
};

using BadData = BadRun;

std::string replace_line(const std::string& text, size_t index, const std::string& line) {
  auto lines = split(text, '\n');
  lines.at(index) = line;
  return join(lines, "\n");
}

TEST_F(BadData, AMalformedLineIsNamedByFileAndLine) {
  auto text = read_file(data());
  const size_t third = text.find('\n', text.find('\n') + 1) + 1;
  text.erase(third + 40, text.find('\n', third) - third - 40);
  write_file_atomically(data(), text);
  expect_refused(1, {data().string() + ":3:41: not valid JSON"});
}

TEST_F(BadData, AChatThatTheTemplateRejects) {
  expect_refused(1, {data().string() + ":1: the chat template rejects", "roles must alternate"},
                 {"--dataset.chat_template", "{{ raise_exception('roles must alternate') }}"});
}

TEST_F(BadData, AMessageOfNoKnownRole) {
  write_file_atomically(data(),
                        R"({"messages": [{"role": "robot", "content": "a"}, {"role": "assistant", "content": "b"}]})"
                        "\n");
  expect_refused(1, {data().string() + ":1:", "robot", "assistant"});
}

TEST_F(BadData, ASampleWithoutTrainedTokens) {
  write_file_atomically(data(), R"({"messages": [{"role": "user", "content": "a"}]})"
                                "\n");
  expect_refused(1, {data().string() + ":1:", "no trained tokens", "hint:"});
}

TEST_F(BadData, AnEmptyFile) {
  write_file_atomically(data(), "");
  expect_refused(1, {"no rows"});
}

TEST_F(BadData, AFileThatIsNotThere) {
  expect_refused(2, {"dataset.path_or_dataset_id", "/nothing/here.jsonl"},
                 {"--dataset.path_or_dataset_id", "/nothing/here.jsonl"});
  expect_refused(2, {"dataset.path_or_dataset_id: no such file or folder", "did you mean train.jsonl?", "hint: in "},
                 {"--dataset.path_or_dataset_id", "assets/quickstart/data/trian.jsonl"});
}

TEST_F(BadData, ABadValidationRowEndsTheRunAndKeepsItsSteps) {
  write_file_atomically(folder_ / "validation.jsonl", "{\"messages\": 3}\n");
  const auto finished =
      run(with(config_, {"--validation_dataset._target_", "chat", "--validation_dataset.path_or_dataset_id",
                         (folder_ / "validation.jsonl").string(), "--step_scheduler.max_steps", "4",
                         "--step_scheduler.val_every_steps", "2"}));
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, testing::HasSubstr("validation.jsonl:1"));
  EXPECT_THAT(finished.err,
              testing::HasSubstr("the steps made are safe: saved " + (out() / "epoch_0_step_1").string()));
  EXPECT_EQ(fs::read_symlink(out() / "LATEST"), "epoch_0_step_1");
}

// The row that spoils step 3 comes as the second of its microbatches: the first must be read again.
TEST_F(BadData, ABadTrainingRowKeepsTheStepsBeforeItAndTheMendedFileGoesOn) {
  const Arguments steps = {"--step_scheduler.max_steps", "6"};
  TemporaryFolder other;
  expect_success(run(with(write_run(other.path()), steps)));
  const auto good = read_file(data());
  write_file_atomically(data(), replace_line(good, 14, R"({"messages": 3})"));
  const auto finished = run(with(config_, steps));
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, testing::HasSubstr(data().string() + ":15"));
  EXPECT_THAT(finished.err, testing::HasSubstr("saved " + (out() / "epoch_0_step_2").string()));
  EXPECT_EQ(fs::read_symlink(out() / "LATEST"), "epoch_0_step_2");
  EXPECT_EQ(steps_of(out()).size(), 3u);

  write_file_atomically(data(), good);
  expect_success(run(with(config_, steps)));
  EXPECT_EQ(steps_of(out()), steps_of(other / "out"));
}

TEST_F(BadData, ABadTrainingRowAfterACheckpointNamesThatOne) {
  write_file_atomically(data(), replace_line(read_file(data()), 14, "{}"));
  const auto finished =
      run(with(config_, {"--step_scheduler.max_steps", "6", "--step_scheduler.ckpt_every_steps", "3"}));
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, testing::HasSubstr("saved " + (out() / "epoch_0_step_2").string()));
  EXPECT_EQ(fs::read_symlink(out() / "LATEST"), "epoch_0_step_2");
}

TEST_F(BadData, WithoutCheckpointsABadRowSaysThatNothingIsSaved) {
  write_file_atomically(folder_ / "validation.jsonl", "{\"messages\": 3}\n");
  const Arguments without = {"--checkpoint.enabled", "false", "--step_scheduler.max_steps", "6"};
  auto validated = without;
  validated.insert(validated.end(), {"--validation_dataset._target_", "chat", "--validation_dataset.path_or_dataset_id",
                                     (folder_ / "validation.jsonl").string(), "--step_scheduler.val_every_steps", "3"});
  auto finished = run(with(config_, validated));
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, testing::HasSubstr("the steps up to 2 are lost: checkpoint.enabled is false"));
  EXPECT_THAT(finished.err, testing::Not(testing::HasSubstr("saved")));
  write_file_atomically(data(), replace_line(read_file(data()), 14, "{}"));
  finished = run(with(config_, without));
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, testing::HasSubstr("the steps up to 2 are lost: checkpoint.enabled is false"));
  EXPECT_THAT(finished.err, testing::Not(testing::HasSubstr("saved")));
}

using BadConfig = BadRun;

TEST_F(BadConfig, AnUnknownKeyIsNamedByFileAndLineWithTheNearestOne) {
  auto text = read_file(config_);
  text.replace(text.find("max_steps"), 9, "max_stebs");
  write_file_atomically(config_, text);
  expect_refused(2, {config_.string() + ":", "step_scheduler.max_stebs", "did you mean max_steps"});
  EXPECT_FALSE(fs::exists(out()));
}

TEST_F(BadConfig, AnUnknownKeyOnTheCommandLine) {
  expect_refused(2, {"--optimizer.lrr", "did you mean lr"}, {"--optimizer.lrr", "1"});
}

TEST_F(BadConfig, AValueThatDoesNotFit) {
  expect_refused(2, {"max_steps", "many"}, {"--step_scheduler.max_steps", "many"});
}

TEST_F(BadConfig, AFileThatIsNotThere) {
  expect_error(run({(folder_ / "none.yaml").string()}), 2,
               {"no such file or folder: " + (folder_ / "none.yaml").string(), "hint: in "});
}

TEST_F(BadConfig, AFileThatIsNoYaml) {
  write_file_atomically(config_, "recipe: [a\n");
  expect_refused(2, {config_.string() + ":", "not valid YAML"});
}

TEST_F(BadConfig, BatchSizesThatDoNotDivide) {
  expect_refused(2, {"global_batch_size", "local_batch_size"}, {"--step_scheduler.global_batch_size", "5"});
}

using BadPlace = BadRun;

TEST_F(BadPlace, AFolderThatCannotBeWrittenTo) {
  write_file_atomically(folder_ / "file", "");
  const auto below = (folder_ / "file/out").string();
  expect_refused(1, {below, "folder cannot be made"}, {"--checkpoint.checkpoint_dir", below});
  if (::geteuid() == 0) return;  // root may write everywhere
  fs::create_directories(folder_ / "closed");
  fs::permissions(folder_ / "closed", fs::perms::owner_read | fs::perms::owner_exec);
  expect_refused(1, {(folder_ / "closed").string(), "hint:"},
                 {"--checkpoint.checkpoint_dir", (folder_ / "closed/out").string()});
}

TEST_F(BadPlace, AFullDeviceForLogits) {
  write_file_atomically(folder_ / "batch.json", R"({"documents": [{"input_ids": [1, 2, 3]}]})");
  expect_error(run({"score", "--model", tiny_base().string(), "--batch", (folder_ / "batch.json").string(), "--logits",
                    "/dev/full"}),
               1, {"/dev/full", "No space left", "hint:"});
}

// A file system of 6 MiB: two checkpoints of 2.4 MB fit, the third does not.
TEST_F(BadPlace, AFullDiskLeavesTheCheckpointsThatAreThereWhole) {
  fs::create_directories(out());
  if (::mount("tmpfs", out().c_str(), "tmpfs", 0, "size=6m") != 0)
    GTEST_SKIP() << "skipped: a run on a full disk (mounting a tmpfs: " << std::strerror(errno) << ")";
  const auto finished =
      run(with(config_, {"--step_scheduler.ckpt_every_steps", "1", "--step_scheduler.max_steps", "8"}));
  expect_error(finished, 1, {"No space left on device", "hint: free some space"});
  const auto names = names_in(out());
  EXPECT_THAT(names, testing::Contains(testing::StartsWith("epoch_0_step_")));
  for (const auto& name : names) EXPECT_FALSE(name.starts_with(".saving")) << name;
  EXPECT_EQ(run({"checkpoint", "verify", out().string()}).exit_code, 0);
  EXPECT_EQ(::umount(out().c_str()), 0);
}

// The logs on a full disk: of the steps, and of the validation.
TEST_F(BadPlace, AFullDiskForALogKeepsTheStepsAndTheRunGoesOn) {
  write_chats(folder_ / "validation.jsonl", 4, 100);
  const auto arguments =
      with(config_, {"--validation_dataset._target_", "chat", "--validation_dataset.path_or_dataset_id",
                     (folder_ / "validation.jsonl").string(), "--step_scheduler.max_steps", "4",
                     "--step_scheduler.val_every_steps", "2"});
  fs::create_directories(out());
  fs::create_symlink("/dev/full", out() / "training.jsonl");
  const std::string safe = "the steps made are safe: saved " + out().string();
  // On a GPU the line of a step is written when the next one has been launched.
  const bool later = on_gpu();
  auto finished = run(arguments);
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, testing::AllOf(testing::HasSubstr("training.jsonl: cannot be written: No space left"),
                                           testing::HasSubstr(safe + (later ? "/epoch_0_step_1" : "/epoch_0_step_0"))));
  fs::remove(out() / "training.jsonl");

  fs::create_symlink("/dev/full", out() / "validation.jsonl");
  finished = run(arguments);
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, testing::AllOf(testing::HasSubstr("validation.jsonl: cannot be written: No space left"),
                                           testing::HasSubstr(safe + (later ? "/epoch_0_step_3" : "/epoch_0_step_1"))));
  fs::remove(out() / "validation.jsonl");

  expect_success(run(arguments));
  EXPECT_EQ(fs::read_symlink(out() / "LATEST"), "epoch_0_step_3");
  EXPECT_EQ(steps_of(out()).size(), later ? 2u : 3u) << "all but those whose lines did not fit";
}

// Weights that leave the numbers: the step and the tensor are named, and what was saved before stays the newest.
class Diverging : public BadRun, public testing::WithParamInterface<const char*> {};

TEST_P(Diverging, NamesStepAndTensorAndSavesNothingOver) {
  expect_success(run(with(config_, {"--step_scheduler.max_steps", "2", "--step_scheduler.ckpt_every_steps", "2"})));
  const auto before = names_in(out());
  const auto finished =
      run(with(config_, {"--step_scheduler.max_steps", "9", "--step_scheduler.ckpt_every_steps", "100",
                         "--optimizer.lr", GetParam(), "--checkpoint.restore_from", "LATEST"}));
  expect_error(finished, 1, {"step 3", "model.", "hint:"});
  EXPECT_EQ(names_in(out()), before);
  EXPECT_EQ(fs::read_symlink(out() / "LATEST"), "epoch_0_step_1");
  EXPECT_EQ(run({"checkpoint", "verify", out().string()}).exit_code, 0);
}

INSTANTIATE_TEST_SUITE_P(LearningRate, Diverging, testing::Values("1e30", "1e39"),
                         [](const auto& info) { return std::string("Of") + info.param; });

TEST_F(BadRun, WeightsThatAreNotFiniteAreNotSaved) {
  expect_refused(1, {"step 0", "model.", "not finite", "hint:"},
                 {"--optimizer.lr", "1e39", "--step_scheduler.ckpt_every_steps", "1"});
  EXPECT_FALSE(fs::exists(fs::symlink_status(out() / "LATEST")));
}

}  // namespace
}  // namespace automodel::program
