// What a check reports: classes, what lacks, notes, the effective configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "automodel/config/testing.h"

namespace automodel::config {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

namespace fs = std::filesystem;

TEST(Check, SaysWhatLacks) {
  Report report = check(kShort + "distributed: {tp_size: 2, dp_size: 4}\nfp8: {enabled: true, emulate: false}\n");
  EXPECT_EQ(report.exit_code(), 3);
  std::vector<std::string> paths;
  for (const Lacking& lacking : report.lacking) paths.push_back(lacking.path);
  EXPECT_THAT(paths, testing::UnorderedElementsAre("model.pretrained_model_name_or_path", "dataset.path_or_dataset_id",
                                                   "distributed.tp_size", "distributed.dp_size", "fp8.enabled"));
  EXPECT_THAT(report.text(), HasSubstr("# lacking: distributed.tp_size: 2 needs tensor parallelism"));

  EXPECT_EQ(check("recipe: FinetuneRecipeForVLM\n").exit_code(), 3);
  EXPECT_EQ(check("model: M\n").exit_code(), 2);
}

TEST(Check, RunsWhatIsThere) {
  fs::path folder = fs::temp_directory_path() / ("config_model_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << R"({"model_type": "qwen3"})";
  std::ofstream(folder / "train.jsonl") << "{}\n";
  std::string text = "recipe: finetune\nmodel: " + folder.string() +
                     "\ndataset: {_target_: chat, path_or_dataset_id: " + (folder / "train.jsonl").string() + "}\n";
  Capabilities can;
  can.families = {"qwen3"};
  EXPECT_EQ(check(text, {}, can).exit_code(), 0);
  can.families = {"llama"};
  Report report = check(text, {}, can);
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_THAT(report.lacking[0].reason, HasSubstr("the family qwen3 (known: llama)"));
  fs::remove_all(folder);
}

TEST(Check, NeverShowsSecrets) {
  Report report =
      check(kShort + "comet: {api_key: '${MY_TOKEN}', workspace: plain}\ncheckpoint: {checkpoint_dir: $MY_TOKEN/a}\n");
  EXPECT_EQ(report.config.comet->api_key, "hunter2");
  for (const std::string& text : {report.text(), report.json().dump(), effective_yaml(report.config)}) {
    EXPECT_THAT(text, Not(HasSubstr("hunter2")));
    EXPECT_THAT(text, HasSubstr("MY_TOKEN"));
  }
  report = check(kShort + "comet: {api_key: abcdef}\n");
  EXPECT_THAT(report.text() + report.json().dump() + effective_yaml(report.config), Not(HasSubstr("abcdef")));
}

TEST(Check, NotesMappedAndInertKeysOnce) {
  std::vector<std::string> notes =
      start_notes(check(kShort + "checkpoint: {model_save_format: torch_save}\nrng: {seed: 3}\n"));
  EXPECT_THAT(notes, Contains(HasSubstr("model_save_format: torch_save is mapped: safetensors are written")));
  EXPECT_THAT(notes, Contains(HasSubstr("rng is inert: no recipe of NeMo AutoModel reads it")));
}

TEST(EffectiveYaml, ReadsBackEqual) {
  RecipeConfig config =
      check(
          kShort +
          "peft: {dim: 4}\nlr_scheduler: {}\nvalidation_dataset: {_target_: squad, dataset_name: s}\n"
          "validation_dataset_x: {_target_: column_mapped, path_or_dataset_id: [a, b], column_mapping: {question: q}}\n"
          "optimizer: {_target_: adamw, param_group_overrides: [{pattern: '*norm*', wd_mult: 0}, {pattern: x}]}\n"
          "wandb: {project: '123', tags: [a, 'true']}\n")
          .config;
  config.model.config_overrides =
      R"({"vocab_size":64,"rope_scaling":{"rope_type":"yarn","factor":4.0},"text_config":{"n_layer":2}})";
  std::string yaml = effective_yaml(config);
  Report again = check(yaml);
  EXPECT_TRUE(again.findings.faults.empty()) << again.text() << yaml;
  EXPECT_EQ(effective_yaml(again.config), yaml);
  EXPECT_EQ(again.config.model.config_overrides, config.model.config_overrides);
  EXPECT_EQ(again.config.optimizer.param_group_overrides.size(), 2u);
  EXPECT_EQ(again.config.optimizer.param_group_overrides[0].pattern, "*norm*");
  EXPECT_EQ(again.config.wandb->project, "123");
}

// What recipes say of a key is said of where it was given.
TEST(Check, PlacesTheKeyOfALaterMessage) {
  const Report report = check(kShort + "optimizer:\n  _target_: adamw\n  lr: 1e-3\n",
                              {"--device", "cuda", "--optimizer.eps", "0.1", "--peft.dim", "4"});
  EXPECT_EQ(report.placed("device: no GPU can be used: 1: 2"), "--device: no GPU can be used: 1: 2");
  EXPECT_EQ(report.placed("optimizer.lr: is 3"), "f.yaml:6: optimizer.lr: is 3");
  EXPECT_EQ(report.placed("optimizer.eps: is 3"), "--optimizer.eps: is 3");
  for (const char* as_it_is :
       {"optimizer.betas: is 3", "peft: has no name", "/a/b.jsonl:3: device: is odd", "device", ""})
    EXPECT_EQ(report.placed(as_it_is), as_it_is);
}

}  // namespace
}  // namespace automodel::config
