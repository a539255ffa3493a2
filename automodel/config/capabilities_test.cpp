#include "automodel/config/capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/config/load_config.h"
#include "automodel/config/model_names.h"

namespace automodel::config {
namespace {

using testing::HasSubstr;

const std::string kData = "recipe: finetune\ndataset: {_target_: chat, path_or_dataset_id: org/rows}\n";

Report check(const std::string& text, const std::vector<std::string>& arguments = {}, Capabilities can = {}) {
  can.hub = can.hub_datasets = true;
  Value root = parse_yaml(text, "f.yaml", process_environment());
  std::vector<Fault> ignored;
  expand_short_forms(root, ignored);
  apply_overrides(root, parse_overrides(arguments), process_environment());
  return check_config(std::move(root), "f.yaml", can);
}

TEST(Capabilities, WhatOneBuildLacksIsOneSentenceAtItsKey) {
  const Report report = check(kData + "model: org/name\n", {"--distributed.tp_size", "2"});
  EXPECT_EQ(message_of<UnsupportedError>([&] { require_runnable(report); }),
            "--distributed.tp_size: 2 needs tensor parallelism, which this build lacks\n"
            "  hint: `automodel check` shows every key");
  EXPECT_THAT(message_of<UnsupportedError>([&] {
                require_runnable(
                    check(kData + "model: org/name\n", {"--distributed.tp_size", "2", "--distributed.cp_size", "2"}));
              }),
              testing::AllOf(HasSubstr("valid, but this build lacks what it needs:\n"),
                             HasSubstr("\n  --distributed.tp_size: 2 needs tensor parallelism\n")));

  Capabilities can;
  can.try_settings = [](const RecipeConfig& config) {
    throw UnsupportedError(kModelPath, config.model.path + " is of the family x, which this build lacks", "look");
  };
  const Report tried = check(kData + "model: {config: org/name}\n", {}, can);
  EXPECT_EQ(message_of<UnsupportedError>([&] { require_runnable(tried); }),
            "f.yaml:3: model.config: org/name is of the family x, which this build lacks\n  hint: look");
  EXPECT_THAT(tried.text(),
              HasSubstr("# lacking: model.config: org/name is of the family x, which this build lacks\n"));
}

TEST(Capabilities, AFolderThatIsNoModelIsAMistake) {
  const TemporaryFolder folder;
  folder.write("run/LATEST", "");
  const Report report =
      check(kData + "model: org/name\n", {"--model.pretrained_model_name_or_path", (folder / "run").string()});
  EXPECT_EQ(report.exit_code(), 2);
  EXPECT_TRUE(report.json()["lacking"].empty());
  EXPECT_EQ(message_of<ConfigError>([&] { require_runnable(report); }),
            "--model.pretrained_model_name_or_path: '" + (folder / "run").string() +
                "' has no config.json\n  hint: expected a folder in Hugging Face layout (config.json, *.safetensors, "
                "tokenizer.json); in " +
                (folder / "run").string() + " lie LATEST");
  const Report file = check(kData + "model: org/name\n", {"--model.config", (folder / "run/LATEST").string()});
  EXPECT_EQ(file.exit_code(), 2);
  EXPECT_THAT(file.text(), HasSubstr("# error: --model.config: '" + (folder / "run/LATEST").string() +
                                     "' is neither a folder nor a config.json\n"));
}

}  // namespace
}  // namespace automodel::config
