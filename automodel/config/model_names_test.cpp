#include "automodel/config/model_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/config/load_config.h"

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

// The rule for a config that is a mapping is that for a config that is a name.
TEST(ModelNames, AModelNamedInAConfigsMappingIsOneOfTheNames) {
  const std::string both = "model:\n  pretrained_model_name_or_path: M\n  config: {name_or_path: C}\n";
  Report report = check(kData + both);
  ASSERT_EQ(report.findings.faults.size(), 1U);
  EXPECT_EQ(report.findings.faults[0].path, "model.config.name_or_path");
  EXPECT_THAT(report.findings.faults[0].text,
              HasSubstr("is C on line 5, but model.pretrained_model_name_or_path on line 4 is M: they are two models"));
  EXPECT_TRUE(
      check(kData + "model: {pretrained_model_name_or_path: M, config: {name_or_path: M}}\n").findings.faults.empty());
  EXPECT_FALSE(
      check(kData + "model: {config: {pretrained_model_name_or_path: A, name_or_path: B}}\n").findings.faults.empty());

  struct Case {
    std::vector<std::string> typed;
    const char *path, *init;
  };
  for (const Case& each : {Case{{"--model.pretrained_model_name_or_path", "P"}, "P", "from_pretrained"},
                           {{"--model", "P"}, "P", "from_pretrained"},
                           {{"--model.config", "P"}, "P", "from_config"},
                           {{"--model.config.name_or_path", "P"}, "P", "from_config"},
                           {{"--model.config", "{'pretrained_model_name_or_path': 'P'}"}, "P", "from_config"}}) {
    report = check(kData + both, each.typed);
    EXPECT_TRUE(report.findings.faults.empty()) << each.typed[0] << report.text();
    EXPECT_EQ(report.config.model.path, each.path) << each.typed[0];
    EXPECT_EQ(report.config.model.init, each.init) << each.typed[0];
  }
  report = check(kData + "model: {config: {name_or_path: C, num_hidden_layers: 2}}\n");
  EXPECT_EQ(report.config.model.init, "from_config");
  EXPECT_EQ(report.config.model.config_overrides, R"({"num_hidden_layers":2})");
}

TEST(ModelNames, TheReportSaysWhichKeyNamesTheModel) {
  for (const std::string target : {"", "  _target_: from_pretrained\n"}) {
    const auto text =
        check(kData + "model:\n" + target + "  pretrained_model_name_or_path: M\n", {"--model.config", "C"}).text();
    EXPECT_THAT(text, testing::ContainsRegex("  pretrained_model_name_or_path: C +# command line: model.config\n"));
    EXPECT_THAT(text, testing::ContainsRegex("  _target_: from_config +# command line: model.config\n"));
  }
  const auto text = check(kData + "model:\n  _target_: from_config\n  config:\n    name_or_path: C\n").text();
  EXPECT_THAT(text,
              testing::ContainsRegex("  pretrained_model_name_or_path: C +# line 6: model.config.name_or_path\n"));
  EXPECT_THAT(text, testing::ContainsRegex("  _target_: from_config +# line 4\n"));
}

}  // namespace
}  // namespace automodel::config
