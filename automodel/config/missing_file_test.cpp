#include "automodel/config/missing_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/testing.h"
#include "automodel/config/load_config.h"

namespace automodel::config {
namespace {

using testing::HasSubstr;

TEST(MissingFile, NamesWhatIsNearestBesideIt) {
  TemporaryFolder folder;
  folder.write("train.jsonl", "");
  folder.write("validation.jsonl", "");
  folder.write(".hidden", "");
  const auto missing = describe_missing((folder / "trian.jsonl").string());
  EXPECT_TRUE(missing.folder_is_there);
  EXPECT_EQ(missing.text,
            "no such file or folder: " + (folder / "trian.jsonl").string() + "; did you mean train.jsonl?");
  EXPECT_EQ(missing.hint, "in " + folder.path().string() + " lie train.jsonl, validation.jsonl");
  EXPECT_THAT(describe_missing((folder / "trian.jsonl/").string()).text, HasSubstr("did you mean train.jsonl?"));
  EXPECT_THAT(describe_missing((folder / "shard_*.bin").string()).text, HasSubstr("no file matches: "));
  for (int i = 0; i < 20; ++i) folder.write("x" + std::to_string(i), "");
  EXPECT_TRUE(describe_missing((folder / "none.csv").string()).hint.ends_with(", ..."));
  EXPECT_TRUE(describe_missing("none.csv").folder_is_there);
}

TEST(MissingFile, OfAFolderThatIsNotThereEither) {
  const auto missing = describe_missing("/no/such/train.jsonl");
  EXPECT_FALSE(missing.folder_is_there);
  EXPECT_EQ(missing.text, "a path that is there, and there is no folder /no/such");
  EXPECT_EQ(missing.hint, "");
  EXPECT_THAT(describe_missing("~/data/train.jsonl").hint, HasSubstr("${HOME}"));
}

TEST(MissingFile, AConfigurationThatIsNotThereIsMistyped) {
  TemporaryFolder folder;
  folder.write("quickstart.yaml", "seed: 1\n");
  const auto refusal = [](const std::string& path) {
    return message_of<ConfigError>([&] { load_yaml(path, process_environment()); });
  };
  EXPECT_EQ(refusal((folder / "quikstart.yaml").string()),
            "no such file or folder: " + (folder / "quikstart.yaml").string() +
                "; did you mean quickstart.yaml?\n  hint: in " + folder.path().string() + " lie quickstart.yaml");
  EXPECT_EQ(refusal("/no/such/f.yaml"),
            "/no/such/f.yaml: expected a path that is there, and there is no folder /no/such");
  EXPECT_EQ(refusal(folder.path().string()), folder.path().string() + ": is a folder, expected a YAML file");
  EXPECT_EQ(load_yaml(folder / "quickstart.yaml", process_environment()).entries.size(), 1u);
}

// A mistyped name is wrong; a path of which not even the folder is here may be right elsewhere, but nothing runs.
TEST(MissingFile, IsAnErrorAndNothingThatTheBuildLacks) {
  TemporaryFolder folder;
  folder.write("train.jsonl", "");
  const auto report_of = [](const std::string& path, const std::string& more = "") {
    const auto none = [](const std::string&) { return std::nullopt; };
    Capabilities can;
    can.hub = true;
    return check_config(parse_yaml("recipe: finetune\nmodel: org/name\ndataset:\n  _target_: chat\n"
                                   "  path_or_dataset_id: " +
                                       path + "\n" + more,
                                   "f.yaml", none),
                        "f.yaml", can);
  };
  const auto refusal = [](const Report& report) { return message_of<ConfigError>([&] { require_runnable(report); }); };
  const auto mistyped = report_of((folder / "trian.jsonl").string());
  EXPECT_EQ(mistyped.exit_code(), 2);
  EXPECT_THAT(mistyped.text(), HasSubstr("# error: f.yaml:5: dataset.path_or_dataset_id: no such file or folder: "));
  EXPECT_TRUE(mistyped.json()["lacking"].empty());
  EXPECT_EQ(mistyped.json()["errors"].size(), 1u);
  const auto said = refusal(mistyped);
  EXPECT_THAT(said, testing::StartsWith("f.yaml:5: dataset.path_or_dataset_id: no such file or folder: "));
  EXPECT_THAT(said, HasSubstr("did you mean train.jsonl?"));
  EXPECT_EQ(said.find("path_or_dataset_id"), said.rfind("path_or_dataset_id")) << "the key is named twice";

  const auto elsewhere = report_of("/no/such/train.jsonl");
  EXPECT_EQ(elsewhere.exit_code(), 3);
  EXPECT_THAT(refusal(elsewhere), HasSubstr("is /no/such/train.jsonl, expected a path that is there"));
  const auto both = report_of("/no/such/train.jsonl", "distributed: {tp_size: 2}\n");
  EXPECT_EQ(both.exit_code(), 3);
  EXPECT_THAT(message_of<UnsupportedError>([&] { require_runnable(both); }), HasSubstr("tensor parallelism"));
  EXPECT_EQ(report_of((folder / "trian.jsonl").string(), "distributed: {tp_size: 2}\n").exit_code(), 2);
}

}  // namespace
}  // namespace automodel::config
