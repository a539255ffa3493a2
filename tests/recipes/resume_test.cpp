// A run that is stopped and started again in a new process makes the very steps of the run that was not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;

// Everything that has a state: shuffled, packed, accumulated, scheduled, with dropout. 60 chats make 16 packs or so, a
// step takes 4, so an epoch ends every 4 or 5 steps.
const Arguments kEverything = {"--dataloader.shuffle",
                               "true",
                               "--packed_sequence.packed_sequence_size",
                               "256",
                               "--step_scheduler.num_epochs",
                               "100",
                               "--lr_scheduler.lr_decay_steps",
                               "40",
                               "--lr_scheduler.lr_warmup_steps",
                               "5",
                               "--step_scheduler.save_checkpoint_every_epoch",
                               "false",
                               "--step_scheduler.ckpt_every_steps",
                               "1000"};
const Arguments kLora = lora({"--peft.dim", "4", "--peft.dropout", "0.2"});

Arguments join(const std::vector<Arguments>& parts) {
  Arguments all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// 40 steps at once, and 20 and 20 in two processes: the same lines of training.jsonl, and the same weights at the end.
void expect_same_when_resumed(const Arguments& overrides, const std::string& weights) {
  TemporaryFolder whole, parts;
  const auto at_once = write_run(whole.path()), in_two = write_run(parts.path());
  expect_success(run(with(at_once, join({kEverything, overrides, {"--step_scheduler.max_steps", "40"}}))));
  expect_success(run(with(in_two, join({kEverything, overrides, {"--step_scheduler.max_steps", "20"}}))));
  ASSERT_EQ(steps_of(parts / "out").size(), 20u);

  const auto second = run(with(in_two, join({kEverything, overrides, {"--step_scheduler.max_steps", "40"}})));
  expect_success(second);
  EXPECT_THAT(second.err, testing::HasSubstr("resumed from epoch_"));
  const auto lines = read_lines(whole / "out/training.jsonl");
  ASSERT_EQ(lines.size(), 40u);
  EXPECT_EQ(lines[19].at("epoch"), lines[20].at("epoch")) << "the run was to be cut in mid-epoch";
  EXPECT_GE(lines[20].at("epoch").get<int>(), 1);
  EXPECT_LT(lines[39].at("loss").get<double>(), lines[0].at("loss").get<double>());
  EXPECT_EQ(steps_of(parts / "out"), steps_of(whole / "out"));

  const auto last = fs::read_symlink(whole / "out/LATEST");
  EXPECT_EQ(fs::read_symlink(parts / "out/LATEST"), last);
  EXPECT_EQ(read_file(parts / "out" / last / weights), read_file(whole / "out" / last / weights));
}

TEST(Resume, TwentyAndTwentyStepsOfLoraWithDropoutAreFortyBitForBit) {
  expect_same_when_resumed(kLora, "model/adapter_model.safetensors");
}

TEST(Resume, TwentyAndTwentyStepsOfFullFineTuningAreFortyBitForBit) {
  expect_same_when_resumed({}, "model/model.safetensors");
}

TEST(Resume, TwentyAndTwentyStepsInBfloat16WithMasterWeightsAreFortyBitForBit) {
  expect_same_when_resumed({"--model.torch_dtype", "bfloat16"}, "model/model.safetensors");
}

class ResumedRun : public testing::Test {
 protected:
  void SetUp() override {
    config_ = write_run(folder_.path());
    expect_success(run(with(config_, {"--step_scheduler.max_steps", "2"})));
  }
  fs::path out() const { return folder_ / "out"; }

  TemporaryFolder folder_;
  fs::path config_;
};

TEST_F(ResumedRun, GoesOnByItselfFromLatestAndTellsSo) {
  const auto second = run(with(config_, {"--step_scheduler.max_steps", "3"}));
  expect_success(second);
  EXPECT_THAT(second.err, testing::HasSubstr("resumed from epoch_0_step_1: next is step 2"));
  EXPECT_EQ(steps_of(out()).size(), 3u);
}

// A damaged checkpoint is told of once, is out of the way when the run comes to its step again, and is never removed.
TEST_F(ResumedRun, GoesOnPastADamagedNewestCheckpoint) {
  const auto steps = [&](const char* count) {
    return with(config_, {"--checkpoint.checkpoint_dir", (folder_ / "each").string(),
                          "--step_scheduler.ckpt_every_steps", "1", "--step_scheduler.max_steps", count});
  };
  const auto each = folder_ / "each", file = fs::path("model/model.safetensors");
  expect_success(run(steps("2")));
  fs::resize_file(each / "epoch_0_step_1" / file, 100);
  const auto second = run(steps("3"));
  expect_success(second);
  EXPECT_THAT(second.err, testing::HasSubstr("resumed from epoch_0_step_0: next is step 1"));
  const auto told = second.err.find("not whole, passed over: epoch_0_step_1: model/model.safetensors has 100 bytes");
  ASSERT_NE(told, std::string::npos) << second.err;
  EXPECT_EQ(second.err.find("not whole", told + 1), std::string::npos) << second.err;
  EXPECT_EQ(fs::file_size(each / ".damaged-epoch_0_step_1" / file), 100u);
  EXPECT_EQ(steps_of(each).size(), 3u);
  EXPECT_EQ(run({"checkpoint", "verify", each.string()}).exit_code, 0);

  for (const char* name : {"epoch_0_step_0", "epoch_0_step_1", "epoch_0_step_2"})
    fs::resize_file(each / name / file, 100);
  expect_success(run(steps("2")));  // none is whole: from the beginning
  EXPECT_EQ(fs::read_symlink(each / "LATEST"), "epoch_0_step_1");
  EXPECT_TRUE(fs::exists(each / ".damaged-epoch_0_step_1-2"));
}

TEST_F(ResumedRun, SaysWhenAnotherLengthBendsTheLearningRate) {
  const Arguments cosine = {"--lr_scheduler.lr_decay_style",  "cosine",
                            "--lr_scheduler.lr_warmup_steps", "0",
                            "--checkpoint.checkpoint_dir",    (folder_ / "cosine").string(),
                            "--step_scheduler.max_steps"};
  const auto of_length = [&](const char* steps) {
    auto arguments = cosine;
    arguments.push_back(steps);
    return run(with(config_, arguments));
  };
  expect_success(of_length("2"));
  const auto longer = of_length("4");
  expect_success(longer);
  EXPECT_THAT(longer.err, testing::HasSubstr("the learning rate was planned as cosine"));
}

TEST_F(ResumedRun, AFinishedRunStartedAgainChangesNothing) {
  const auto names = names_in(out());
  const auto steps = steps_of(out());
  expect_success(run(with(config_, {"--step_scheduler.max_steps", "2"})));
  EXPECT_EQ(names_in(out()), names);
  EXPECT_EQ(steps_of(out()), steps);
}

TEST_F(ResumedRun, RefusesAnotherConfigurationAndNamesWhatDiffers) {
  const auto before = names_in(out());
  const auto config = read_file(out() / "config.yaml");
  const auto second = run(with(config_, {"--step_scheduler.max_steps", "4", "--optimizer.lr", "0.5"}));
  expect_error(second, 1,
               {"epoch_0_step_1", "another configuration", "optimizer", "lr: 0.5", "0.001", "hint:", "restore_from"});
  EXPECT_EQ(steps_of(out()).size(), 2u);
  EXPECT_EQ(names_in(out()), before);
  EXPECT_EQ(read_file(out() / "config.yaml"), config);
}

TEST_F(ResumedRun, RefusesWeightsOfAMixtureThatChangedPlaces) {
  const auto second_file = (folder_ / "more.jsonl").string();
  write_chats(second_file, 60, 100);
  auto text = read_file(config_);
  const std::string one = "  path_or_dataset_id: " + (folder_ / "train.jsonl").string() + "\n";
  const auto mixed = [&](const char* first, const char* second) {
    auto yaml = text;
    yaml.replace(yaml.find(one), one.size(),
                 "  sources:\n  - {path_or_dataset_id: " + (folder_ / "train.jsonl").string() + ", weight: " + first +
                     "}\n  - {path_or_dataset_id: " + second_file + ", weight: " + second + "}\n");
    write_file_atomically(config_, yaml);
    return with(config_, {"--checkpoint.checkpoint_dir", (folder_ / "mixed").string()});
  };
  expect_success(run(mixed("1.0", "3.0")));
  expect_error(run(mixed("3.0", "1.0")), 1,
               {"another configuration", "dataset.sources[0].weight: 3.0, saved with 1.0", "hint:"});
}

TEST_F(ResumedRun, RestoreFromGoesOnFromAnotherRunsFolderAndWithAnotherConfiguration) {
  TemporaryFolder other;
  const auto config = write_run(other.path());
  const auto second = run(with(config, {"--step_scheduler.max_steps", "3", "--optimizer.lr", "0.002",
                                        "--checkpoint.restore_from", (out() / "epoch_0_step_1").string()}));
  expect_success(second);
  const auto lines = read_lines(other / "out/training.jsonl");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("step"), 2);
  EXPECT_EQ(lines[0].at("lr"), 0.002);
}

TEST_F(ResumedRun, RestoreFromAnOlderCheckpointOfTheSameFolderIsRefusedBeforeAnythingIsLost) {
  expect_success(run(with(config_, {"--step_scheduler.max_steps", "3"})));
  expect_error(run(with(config_, {"--step_scheduler.max_steps", "4", "--checkpoint.restore_from", "epoch_0_step_1"})),
               1, {"epoch_0_step_2", "from step 2 on", "hint:"});
  EXPECT_EQ(steps_of(out()).size(), 3u);
}

TEST_F(ResumedRun, WithoutCheckpointsTheRecordsOfAnotherRunAreLeftAlone) {
  TemporaryFolder other;
  const auto config = write_run(other.path());
  const Arguments off = {"--checkpoint.enabled", "false", "--step_scheduler.max_steps", "3"};
  expect_success(run(with(config, {"--step_scheduler.max_steps", "1"})));
  const auto steps = steps_of(other / "out");
  const auto saved = read_file(other / "out/config.yaml");
  const auto from_first = join({off, {"--checkpoint.restore_from", (out() / "epoch_0_step_1").string()}});
  expect_error(run(with(config, off)), 1, {"holds a run", "hint:"});
  expect_error(run(with(config, from_first)), 1, {"holds a run", "hint:"});
  fs::resize_file(other / "out/epoch_0_step_0/model/model.safetensors", 100);
  expect_error(run(with(config, from_first)), 1, {"holds a run", "hint:"});
  EXPECT_TRUE(fs::exists(other / "out/epoch_0_step_0"));
  EXPECT_EQ(steps_of(other / "out"), steps);
  EXPECT_EQ(read_file(other / "out/config.yaml"), saved);

  expect_success(run(with(config_, join({off, {"--checkpoint.restore_from", "LATEST"}}))));
  EXPECT_EQ(steps_of(out()).size(), 3u) << "the run that it goes on with is its own";
}

TEST_F(ResumedRun, TheTemplateThatWasTrainedIsSaved) {
  const std::string own =
      "{% for m in messages %}<{{ m.role }}>{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}";
  expect_success(run(with(config_, {"--step_scheduler.max_steps", "1", "--dataset.chat_template", own,
                                    "--checkpoint.checkpoint_dir", (folder_ / "own").string()})));
  EXPECT_EQ(read_file(folder_ / "own/LATEST/model/chat_template.jinja"), own);
}

TEST_F(ResumedRun, RestoreFromACheckpointThatIsNotThereNamesThoseThatAre) {
  expect_error(run(with(config_, {"--checkpoint.restore_from", "epoch_0_step_7"})), 1,
               {"epoch_0_step_7", "neither a folder nor a checkpoint", "epoch_0_step_1"});
}

TEST_F(ResumedRun, RestoreFromAFolderThatIsNoRunIsRefused) {
  fs::create_directories(folder_ / "empty");
  expect_error(run(with(config_, {"--checkpoint.restore_from", (folder_ / "empty").string()})), 1,
               {"empty", "restored"});
}

}  // namespace
}  // namespace automodel::program
