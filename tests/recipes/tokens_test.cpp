// Pre-training on files of tokens: from preprocess to a trained model, and a run that goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {
namespace fs = std::filesystem;

const fs::path kRoot = source_folder();

// The bundled recipe on the tiny model, for `steps` steps of 4 samples of 32 tokens.
Arguments pretrain(const fs::path& folder, int steps, const Arguments& more = {}) {
  Arguments all = {(kRoot / "configs/pretrain_megatron.yaml").string()};
  const std::vector<std::pair<std::string, std::string>> overrides = {
      {"model.pretrained_model_name_or_path", tiny_base().string()},
      {"dataset.paths", (kRoot / "assets/quickstart/tokens/passages_text_document").string()},
      {"validation_dataset.paths", (kRoot / "assets/quickstart/tokens/passages_text_document").string()},
      {"dataset.index_mapping_dir", (folder / "order").string()},
      {"validation_dataset.index_mapping_dir", (folder / "order").string()},
      {"dataset.seq_length", "32"},
      {"validation_dataset.seq_length", "32"},
      {"step_scheduler.global_batch_size", "4"},
      {"step_scheduler.local_batch_size", "2"},
      {"step_scheduler.max_steps", std::to_string(steps)},
      {"step_scheduler.val_every_steps", "10"},
      {"step_scheduler.ckpt_every_steps", "1000"},
      {"lr_scheduler.lr_decay_steps", "40"},
      {"checkpoint.checkpoint_dir", (folder / "out").string()}};
  for (const auto& [key, value] : overrides) all.insert(all.end(), {"--" + key, value});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(Tokens, OfMegatronsFilesAreTrainedValidatedAndResumedBitForBit) {
  TemporaryFolder whole, parts;
  expect_success(run(pretrain(whole.path(), 20)));
  const auto lines = read_lines(whole / "out/training.jsonl");
  ASSERT_EQ(lines.size(), 20u);
  EXPECT_EQ(lines[3]["num_label_tokens"], 4 * 32);
  EXPECT_LT(lines[19]["loss"].get<double>(), lines[0]["loss"].get<double>());
  EXPECT_EQ(read_lines(whole / "out/validation.jsonl").size(), 2u);
  EXPECT_EQ(names_in(whole / "order").size(), 8u);  // three indices and a description, of train and of valid

  expect_success(run(pretrain(parts.path(), 10)));
  const auto second = run(pretrain(parts.path(), 20));  // more steps in the same epoch of tokens: the same order
  expect_success(second);
  EXPECT_THAT(second.err, testing::HasSubstr("resumed from"));
  EXPECT_EQ(steps_of(parts / "out"), steps_of(whole / "out"));
}

TEST(Tokens, OnlyWhoAsksForShuffledMegatronDataIsToldThatItHasAnOrder) {
  TemporaryFolder folder;
  const auto said = [&](const Arguments& more) {
    Arguments all = {"data"};
    for (const auto& word : pretrain(folder.path(), 4, more)) all.push_back(word);
    const auto finished = run(all);
    expect_success(finished);
    return finished.err;
  };
  EXPECT_EQ(said({"--dataloader.shuffle", "false"}), "");
  EXPECT_THAT(said({"--dataloader.shuffle", "true"}), testing::HasSubstr("dataloader.shuffle has no effect"));
}

// What another number of epochs would shuffle anew is not taken for the same order.
TEST(Tokens, AreNotResumedInAnotherOrder) {
  TemporaryFolder folder;
  expect_success(run(pretrain(folder.path(), 4)));
  expect_error(run(pretrain(folder.path(), 4000)), 1, {"order", "epochs"});
}

std::string little(int32_t value) { return {reinterpret_cast<const char*>(&value), 4}; }

TEST(Tokens, OfNanogptShardsAreTrainedForMoreThanAPass) {
  TemporaryFolder folder;
  std::string header(1024, '\0'), tokens;
  const int32_t count = 300;
  header.replace(0, 12, little(278895051) + little(1) + little(count));
  header.replace(12, 4, little(2));
  for (int i = 0; i < count; ++i) {
    const auto token = static_cast<uint16_t>(i % 50);
    tokens.append(reinterpret_cast<const char*>(&token), 2);
  }
  write_file_atomically(folder / "a_train.bin", header + tokens);
  write_file_atomically(
      folder / "run.yaml",
      "recipe: TrainFinetuneRecipeForNextTokenPrediction\nmodel:\n  pretrained_model_name_or_path: " +
          tiny_base().string() +
          "\ndataset:\n  _target_: nemo_automodel.components.datasets.llm.nanogpt_dataset.NanogptDataset\n"
          "  file_pattern: \"" +
          (folder / "*_train.bin").string() +
          "\"\n  seq_len: 16\n  shuffle_files: true\n"
          "step_scheduler: {global_batch_size: 4, local_batch_size: 2, num_epochs: 1, max_steps: 12}\n"
          "optimizer: {_target_: adamw, lr: 0.01}\n"
          "checkpoint: {checkpoint_dir: " +
          (folder / "out").string() + "}\n");
  expect_success(run({(folder / "run.yaml").string()}));
  // As the shards lie, unless the user shuffles.
  const auto order = [&](const Arguments& more) {
    Arguments all = {"data", (folder / "run.yaml").string(), "--n", "17", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    std::string places;
    const Json shown = json_of(all);
    for (const auto& sample : shown["samples"]) places += sample["where"].get<std::string>() + "\n";
    return places;
  };
  const auto plain = order({});
  EXPECT_THAT(plain, testing::StartsWith((folder / "a_train.bin").string() + ": sample 0, tokens 0 to 16\n"));
  EXPECT_EQ(order({"--dataloader.shuffle", "false"}), plain);
  EXPECT_NE(order({"--dataloader.shuffle", "true"}), plain);
  const auto losses = losses_of(folder / "out");
  ASSERT_EQ(losses.size(), 12u);  // 48 samples, of which a pass holds 17
  EXPECT_LT(losses[11], losses[0]);
}

TEST(Tokens, MadeByPreprocessAreReadBack) {
  TemporaryFolder folder;
  const std::string rows = read_file(kRoot / "assets/quickstart/pretrain/train.jsonl");
  write_file_atomically(folder / "in.jsonl", rows.substr(0, rows.find('\n', 60000) + 1));
  const Json made = json_of({"preprocess", "--input", (folder / "in.jsonl").string(), "--output-prefix",
                             (folder / "data/mine").string(), "--model", tiny_base().string(), "--json-keys",
                             "question", "answer", "--append-eod", "--workers", "2", "--json"});
  ASSERT_EQ(made["outputs"].size(), 2u);
  EXPECT_GT(made["tokens"].get<int64_t>(), 1000);
  const std::string answers = (folder / "data/mine_answer_document").string();
  EXPECT_EQ(made["outputs"][1], answers);
  expect_success(
      run(pretrain(folder.path(), 3,
                   {"--dataset.paths", answers, "--validation_dataset.paths", answers, "--dataset.reset_attention_mask",
                    "--dataset.reset_position_ids", "--dataset.eod_mask_loss"})));
  const auto lines = read_lines(folder / "out/training.jsonl");
  ASSERT_EQ(lines.size(), 3u);
  int64_t trained = 0;
  for (const auto& line : lines) trained += line["num_label_tokens"].get<int64_t>();
  EXPECT_LT(trained, 3 * 4 * 32);  // what follows an end of a document is not
  expect_error(run({"preprocess", "--input", (folder / "in.jsonl").string(), "--output-prefix",
                    (folder / "bad").string(), "--model", tiny_base().string()}),
               1, {"in.jsonl:1", "'text'"});
}

}  // namespace
}  // namespace automodel::program
