// --help and `help TOPIC`: what they say of commands and of sections of the configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "automodel/base/text.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

// What the program answers to these words, asked once: the tests look at many pages twice, and a start takes a quarter
// of a second.
std::string page(const Arguments& arguments, const std::vector<std::string>& words = {}) {
  static std::map<Arguments, std::string> asked;
  const auto [place, fresh] = asked.try_emplace(arguments);
  if (fresh) place->second = text_of(arguments, {});
  for (const auto& word : words) EXPECT_THAT(place->second, testing::HasSubstr(word));
  return place->second;
}

TEST(Help, IsOnStandardOutputForEachCommand) {
  page({"--help"}, {"automodel CONFIG.yaml", "tokenize", "render", "score", "generate", "checkpoint", "compare",
                    "models", "doctor", "help", "version"});
  page({"tokenize", "--help"}, {"--model", "--no-special", "--decode", "--offsets", "--jsonl"});
  page({"render", "--help"},
       {"--template", "--tools", "--add-generation-prompt", "--continue-final-message", "--ids", "--mask", "--jsonl"});
  page({"score", "--help"}, {"--batch", "--logits", "--grads", "--dtype", "--device", "--lora"});
  page({"generate", "--help"}, {"--prompt", "--chat", "--temperature", "--top-k", "--top-p", "--seed"});
  page({"checkpoint", "--help"}, {"info", "verify", "consolidate", "merge"});
  page({"check", "--help"}, {"automodel check CONFIG.yaml", "validated", "--json"});
  page({"data", "-h"}, {"automodel data CONFIG.yaml", "--n N", "--a.b.c VALUE"});
  page({"benchmark", "--help"}, {"automodel benchmark llm|vlm -c CONFIG.yaml", "tokens/s", "--profile FILE"});
  page({"help"}, {"automodel CONFIG.yaml", "tokenize", "generate", "doctor", "topics of `automodel help`: config"});
  page({"help", "config"}, {"optimizer", "step_scheduler"});
  page({"help", "config", "optimizer"}, {"lr", "peak learning rate"});
  page({"help", "optimizer"}, {"peak learning rate"});
  EXPECT_EQ(page({"help", "render"}, {"automodel render", "--mask"}), page({"render", "--help"}));
  page({"help", "checkpoint", "merge"}, {"automodel checkpoint merge", "--out"});
  page({"help", "checkpoint"}, {"checkpoint_dir", "`automodel checkpoint --help` is about the command"});
  page({"help", "plan"}, {"automodel plan CONFIG.yaml", "recomputation", "help config"});
  expect_error(run({"help", "rendr"}), 2, {"rendr: no section of the configuration and no command", "mean render?"});
  expect_error(run({"help", "nothing"}), 2, {"nothing", "no section", "optimizer"});
}

// Each command that the overview names has a help of its own, and the same under `help` unless a section has its name.
TEST(Help, IsThereForEveryCommandOfTheOverview) {
  std::set<std::string> names;
  const auto overview = page({"--help"}, {"Subcommands:"});
  const std::regex subcommand("\n  ([a-z]+)  ");
  const std::string listed = overview.substr(overview.find("Subcommands:"));
  for (std::sregex_iterator match(listed.begin(), listed.end(), subcommand), end; match != end; ++match)
    names.insert((*match)[1]);
  const std::regex usage("\nautomodel ([a-z|]+)");
  for (std::sregex_iterator match(overview.begin(), overview.end(), usage), end; match != end; ++match)
    for (const auto& name : split((*match)[1].str(), '|')) names.insert(name);
  EXPECT_GE(names.size(), 18u);
  std::set<std::string> texts;
  for (const auto& name : names) {
    const auto text = page({name, "--help"}, {"automodel " + name, "--help"});
    texts.insert(text.substr(text.find('\n')));
  }
  EXPECT_GE(texts.size(), names.size() - 2) << "those of finetune, pretrain and kd are one";
  for (const char* name : {"data", "kd", "download"}) EXPECT_EQ(page({"help", name}), page({name, "-h"})) << name;
  for (const char* name : {"info", "verify", "consolidate", "merge"})
    page({"checkpoint", name, "--help"}, {fmt::format("automodel checkpoint {}", name), "PATH"});
  EXPECT_EQ(page({"benchmark", "llm", "--help"}), page({"benchmark", "--help"}));
}

}  // namespace
}  // namespace automodel::program
