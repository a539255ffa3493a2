// Recipes on files of tokens: Megatron's indexed data sets and NanoGPT's shards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/config/load_config.h"

namespace automodel::config {
namespace {
using testing::HasSubstr;

const std::string kFolder = AUTOMODEL_SOURCE_DIR "/automodel/data/testdata/";

Report report_of(const std::string& dataset, const std::string& rest = "") {
  const std::string yaml =
      "recipe: TrainFinetuneRecipeForNextTokenPrediction\n"
      "model:\n  pretrained_model_name_or_path: " AUTOMODEL_SOURCE_DIR
      "/assets/quickstart/model\n"
      "dataset:\n" +
      dataset + rest;
  Capabilities can;
  can.families = {"qwen3"};
  const auto environment = [](const std::string&) { return std::nullopt; };
  return check_config(parse_yaml(yaml, "f", environment), "f", can);
}

std::string megatron(const std::string& keys) {
  return "  _target_: nemo_automodel.components.datasets.llm.megatron_dataset.MegatronPretraining\n" + keys;
}
std::string nanogpt(const std::string& keys) {
  return "  _target_: nemo_automodel.components.datasets.llm.nanogpt_dataset.NanogptDataset\n" + keys;
}

TEST(TokenData, OfNemoAutoModelsRecipesRunsWhereTheFilesAre) {
  const auto report = report_of(megatron("  paths: " + kFolder +
                                         "megatron/a*\n"
                                         "  index_mapping_dir: /tmp/orders\n"
                                         "  seq_length: 1024\n"
                                         "  split: \"0.99, 0.01, 0.00\"\n"
                                         "  splits_to_build: \"train\"\n"),
                                "dataloader:\n  collate_fn: torch.utils.data.default_collate\n"
                                "  dataloader_type: \"single\"\n");
  EXPECT_EQ(report.exit_code(), 0) << report.text();
  EXPECT_EQ(report.config.dataset.kind, "megatron");
  EXPECT_EQ(report.config.dataset.split, "0.99, 0.01, 0.0");  // a tuple to Python, joined again: part of a file's name
  EXPECT_EQ(report.config.dataset.splits_to_build, "train");
  EXPECT_FALSE(report.config.dataset.seed);
  EXPECT_FALSE(report.config.dataloader.shuffle.value_or(true));
  const auto shards = report_of(nanogpt("  file_pattern: \"" + kFolder +
                                        "nanogpt/*.bin\"\n  seq_len: 8\n"
                                        "  shuffle_files: true\n  align_to_bos: false\n  bos_token: 50256\n"));
  EXPECT_EQ(shards.exit_code(), 0) << shards.text();
  EXPECT_EQ(shards.config.dataset.bos_token, 50256);
  EXPECT_FALSE(shards.config.dataloader.shuffle.value_or(true));
}

TEST(TokenData, BlendsSurviveBeingPrinted) {
  for (const std::string& paths : {"[30, " + kFolder + "megatron/a, 70.5, " + kFolder + "megatron/b]",
                                   "{train: [" + kFolder + "megatron/a], validation: " + kFolder + "megatron/b}"}) {
    const auto report = report_of(megatron("  paths: " + paths + "\n"));
    ASSERT_EQ(report.exit_code(), 0) << report.text();
    EXPECT_TRUE(report.config.dataset.paths.starts_with(paths.substr(0, 1))) << report.config.dataset.paths;
    EXPECT_EQ(report.config.dataset.split, "900,50,50");
    const std::string yaml = effective_yaml(report.config);
    const auto environment = [](const std::string&) { return std::nullopt; };
    const auto again = check_config(parse_yaml(yaml, "again", environment), "again", Capabilities{});
    EXPECT_TRUE(again.findings.faults.empty()) << again.text();
    EXPECT_EQ(again.config.dataset.paths, report.config.dataset.paths);
    EXPECT_EQ(effective_yaml(again.config), yaml);
  }
}

TEST(TokenData, ThatIsNotThereIsLacking) {
  for (const auto& dataset : {megatron("  paths: /no/such/data_*_text_document*\n"),
                              megatron("  paths: [30, /no/such, 70, " + kFolder + "megatron/a]\n"),
                              nanogpt("  file_pattern: /no/such/*.bin\n")}) {
    const auto report = report_of(dataset);
    EXPECT_EQ(report.exit_code(), 3);
    ASSERT_EQ(report.lacking.size(), 1u) << report.text();
    EXPECT_THAT(report.lacking[0].value, HasSubstr("/no/such"));
  }
  const auto cloud = report_of(megatron("  paths: " + kFolder + "megatron/a\n  object_storage_config: {a: 1}\n"));
  EXPECT_EQ(cloud.exit_code(), 3);
}

TEST(TokenData, MistakesAreNamed) {
  const auto fault_of = [](const std::string& dataset) {
    const auto report = report_of(dataset);
    EXPECT_EQ(report.exit_code(), 2);
    return report.text();
  };
  EXPECT_THAT(fault_of(megatron("  seq_length: 8\n")), HasSubstr("paths of the data set are missing"));
  EXPECT_THAT(fault_of(nanogpt("  seq_len: 8\n")), HasSubstr("shards of the data set are missing"));
  EXPECT_THAT(fault_of(megatron("  paths: a\n  splits_to_build: trian\n")), HasSubstr("splits_to_build"));
  EXPECT_THAT(fault_of(megatron("  paths: a\n  reset_position_ids: true\n")), HasSubstr("go together"));
  EXPECT_THAT(fault_of(nanogpt("  file_pattern: a\n  paths: b\n")), HasSubstr("paths"));
}

}  // namespace
}  // namespace automodel::config
