// What a run saves is what it trained: `score`, `generate` and `checkpoint merge` see the same model, and so do
// transformers and PEFT.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;

const Arguments kLora = lora({"--peft.dim", "4", "--optimizer.lr", "0.01"});

double score(const fs::path& model, const fs::path& batch, const Arguments& more = {}) {
  Arguments all = {"score", "--model", model.string(), "--batch", batch.string()};
  all.insert(all.end(), more.begin(), more.end());
  return json_of(all).at("loss").get<double>();
}

// The bundled chats from `first` on as a batch for `score`: ids and labels as training sees them, by way of render
// --ids --mask.
void write_batch(const fs::path& file, int rows, int first) {
  write_chats(file.string() + ".jsonl", rows, first);
  Json documents = Json::array();
  for (const auto& chat : read_lines(file.string() + ".jsonl")) {
    const auto rendered =
        json_of({"render", "--model", tiny_base().string(), "--ids", "--mask"}, {.input = chat.dump()});
    const auto ids = rendered.at("ids").get<std::vector<int>>(), mask = rendered.at("mask").get<std::vector<int>>();
    std::vector<int> labels(ids.size(), -100);
    for (size_t t = 0; t + 1 < ids.size(); ++t)
      if (mask[t + 1]) labels[t] = ids[t + 1];
    documents.push_back({{"input_ids", ids}, {"labels", labels}});
  }
  write_file_atomically(file, Json{{"documents", documents}}.dump());
}

void expect_near(double a, double b, double relative) {
  EXPECT_LE(std::abs(a - b), relative * std::abs(b)) << a << " and " << b;
}

class Saved : public testing::TestWithParam<bool> {  // whether with LoRA
 protected:
  // Trains 8 steps and saves; then step 8 again, whose loss is measured with the weights that were saved.
  void SetUp() override {
    const auto config = write_run(folder_.path());
    Arguments overrides = {"--dataset.seq_length", "512", "--step_scheduler.max_steps", "8"};
    if (GetParam()) overrides.insert(overrides.end(), kLora.begin(), kLora.end());
    expect_success(run(with(config, overrides)));
    saved_ = folder_ / "out/epoch_0_step_7";
    overrides[3] = "9";
    expect_success(run(with(config, overrides)));
    write_batch(folder_ / "batch.json", 4, 32);
  }

  TemporaryFolder folder_;
  fs::path saved_;
};

TEST_P(Saved, ScoresTheLossThatTheRunSees) {
  const auto losses = losses_of(folder_ / "out");
  ASSERT_EQ(losses.size(), 9u);
  const double base = score(tiny_base(), folder_ / "batch.json");
  EXPECT_GT(std::abs(losses[8] - base), 0.01) << "the training was to change something";
  for (const fs::path& folder : {saved_ / "model", saved_})
    expect_near(score(folder, folder_ / "batch.json"), losses[8], device_bound(2e-6));
}

TEST_P(Saved, GeneratesTheSameTwiceAndTokenByTokenAsAtOnce) {
  const auto generate = [&](const std::string& count) {
    return json_of({"generate", "--model", saved_.string(), "--prompt", "Natalia sold", "--max-new-tokens", count,
                    "--json"})
        .at("ids")
        .get<std::vector<int>>();
  };
  const auto all = generate("12");
  ASSERT_EQ(all.size(), 12u);
  EXPECT_EQ(generate("12"), all);
  EXPECT_EQ(generate("5"), std::vector<int>(all.begin(), all.begin() + 5));

  // Without a cache: the likeliest next token of the whole text so far, by the log-probability that `score` gives it.
  const auto prompt = run({"tokenize", "--model", tiny_base().string()}, {.input = "Natalia sold\n"});
  auto ids = parse_json(prompt.out, "ids").get<std::vector<int>>();
  for (const int id : all) ids.push_back(id);
  write_file_atomically(folder_ / "text.json", Json{{"documents", Json::array({Json{{"input_ids", ids}}})}}.dump());
  const auto logits = folder_ / "logits.safetensors";
  json_of(
      {"score", "--model", saved_.string(), "--batch", (folder_ / "text.json").string(), "--logits", logits.string()});
  const auto rows = read_logits(logits);
  ASSERT_EQ(rows.size(), ids.size());
  for (size_t t = ids.size() - all.size() - 1; t + 1 < ids.size(); ++t)
    EXPECT_EQ(std::max_element(rows[t].begin(), rows[t].end()) - rows[t].begin(), ids[t + 1]) << "token " << t;
}

TEST_P(Saved, LoadsInTransformersOrPeftWithTheSameLogits) {
  const char* python = std::getenv("AUTOMODEL_ORACLES");
  if (!python)
    GTEST_SKIP()
        << "skipped: the comparison with transformers and PEFT (AUTOMODEL_ORACLES, a Python that has them, is not set)";
  const auto logits = folder_ / "logits.safetensors";
  json_of(
      {"score", "--model", saved_.string(), "--batch", (folder_ / "batch.json").string(), "--logits", logits.string()});
  const std::string check = (source_folder() / "tests/parity/check_saved.py").string();
  Arguments arguments = {check,
                         "--batch",
                         folder_ / "batch.json",
                         "--logits",
                         logits,
                         "--model",
                         GetParam() ? tiny_base() : saved_ / "model"};
  if (GetParam()) arguments.insert(arguments.end(), {"--adapter", saved_ / "model"});
  const auto checked = run(arguments, {}, python);
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
}

INSTANTIATE_TEST_SUITE_P(Run, Saved, testing::Bool(), [](const auto& info) { return info.param ? "Lora" : "Full"; });

TEST(Merge, IsTheBaseWithItsAdapter) {
  TemporaryFolder folder;
  auto overrides = kLora;
  overrides.insert(overrides.end(), {"--step_scheduler.max_steps", "8"});
  expect_success(run(with(write_run(folder.path()), overrides)));
  const fs::path adapter = folder / "out/LATEST/model";
  write_batch(folder / "batch.json", 2, 40);
  const auto merged = run({"checkpoint", "merge", adapter.string(), "--out", (folder / "merged").string()});
  expect_success(merged);
  EXPECT_EQ(merged.out, (folder / "merged").string() + "\n");
  const double together = score(tiny_base(), folder / "batch.json", {"--lora", adapter.string()});
  expect_near(score(folder / "merged", folder / "batch.json"), together, device_bound(2e-6));
  EXPECT_GT(std::abs(together - score(tiny_base(), folder / "batch.json")), 0.01);
  EXPECT_EQ(run({"checkpoint", "verify", (folder / "merged").string()}).exit_code, 0);
  EXPECT_EQ(names_in(folder / "merged"), names_in(tiny_base()));
  expect_error(run({"checkpoint", "merge", tiny_base().string(), "--out", (folder / "none").string()}), 1,
               {"holds no adapter"});
  EXPECT_FALSE(fs::exists(folder / "none"));
}

TEST(Sharded, WeightsOfManyFilesAreReadBackAsTheyWere) {
  TemporaryFolder folder;
  auto config = tiny_config();
  config["hidden_size"] = 256;  // the embedding alone has 4 MiB
  write_tiny_folder(folder / "config", config);
  expect_success(run(with(write_run_from_config(folder.path(), folder / "config"),
                          {"--step_scheduler.max_steps", "1", "--checkpoint.max_shard_size_bytes", "1048576"})));
  const fs::path model = folder / "out/LATEST/model";
  const auto names = names_in(model);
  EXPECT_THAT(names, testing::Contains("model.safetensors.index.json"));
  EXPECT_THAT(names, testing::Contains(testing::StartsWith("model-00002-of-")));
  EXPECT_EQ(run({"checkpoint", "verify", model.string()}).exit_code, 0);
  write_batch(folder / "batch.json", 1, 0);
  EXPECT_TRUE(std::isfinite(score(model, folder / "batch.json")));
}

}  // namespace
}  // namespace automodel::program
