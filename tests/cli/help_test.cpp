// --help and `help TOPIC`: what they say of commands and of sections of the configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "automodel/base/text.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

TEST(Help, IsOnStandardOutputForEachCommand) {
  text_of({"--help"}, {"automodel CONFIG.yaml", "tokenize", "render", "score", "generate", "checkpoint", "compare",
                       "models", "doctor", "help", "version"});
  text_of({"tokenize", "--help"}, {"--model", "--no-special", "--decode", "--offsets", "--jsonl"});
  text_of({"render", "--help"}, {"--template", "--tools", "--add-generation-prompt", "--continue-final-message",
                                 "--ids", "--mask", "--jsonl"});
  text_of({"score", "--help"}, {"--batch", "--logits", "--grads", "--dtype", "--device", "--lora"});
  text_of({"generate", "--help"}, {"--prompt", "--chat", "--temperature", "--top-k", "--top-p", "--seed"});
  text_of({"checkpoint", "--help"}, {"info", "verify", "consolidate", "merge"});
  text_of({"check", "--help"}, {"automodel check CONFIG.yaml", "validated", "--json"});
  text_of({"data", "-h"}, {"automodel data CONFIG.yaml", "--n N", "--a.b.c VALUE"});
  text_of({"benchmark", "--help"}, {"automodel benchmark llm|vlm -c CONFIG.yaml", "tokens/s", "--profile FILE"});
  text_of({"help"}, {"automodel CONFIG.yaml", "tokenize", "generate", "doctor", "topics of `automodel help`: config"});
  text_of({"help", "config"}, {"optimizer", "step_scheduler"});
  text_of({"help", "config", "optimizer"}, {"lr", "peak learning rate"});
  text_of({"help", "optimizer"}, {"peak learning rate"});
  EXPECT_EQ(text_of({"help", "render"}, {"automodel render", "--mask"}), text_of({"render", "--help"}, {}));
  text_of({"help", "checkpoint", "merge"}, {"automodel checkpoint merge", "--out"});
  text_of({"help", "checkpoint"}, {"checkpoint_dir", "`automodel checkpoint --help` is about the command"});
  text_of({"help", "plan"}, {"automodel plan CONFIG.yaml", "recomputation", "help config"});
  expect_error(run({"help", "rendr"}), 2, {"rendr: no section of the configuration and no command", "mean render?"});
  expect_error(run({"help", "nothing"}), 2, {"nothing", "no section", "optimizer"});
}

// Each command that the overview names has a help of its own, and the same under `help` unless a section has its name.
TEST(Help, IsThereForEveryCommandOfTheOverview) {
  std::set<std::string> names;
  const auto overview = text_of({"--help"}, {"Subcommands:"});
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
    const auto text = text_of({name, "--help"}, {"automodel " + name, "--help"});
    texts.insert(text.substr(text.find('\n')));
  }
  EXPECT_GE(texts.size(), names.size() - 2) << "those of finetune, pretrain and kd are one";
  for (const char* name : {"data", "kd", "download"})
    EXPECT_EQ(text_of({"help", name}, {}), text_of({name, "-h"}, {})) << name;
  for (const char* name : {"info", "verify", "consolidate", "merge"})
    text_of({"checkpoint", name, "--help"}, {fmt::format("automodel checkpoint {}", name), "PATH"});
  EXPECT_EQ(text_of({"benchmark", "llm", "--help"}, {}), text_of({"benchmark", "--help"}, {}));
}

}  // namespace
}  // namespace automodel::program
