// `automodel check` finds what the run would refuse before it touches weights or data, and so does the run before it
// writes anything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

using testing::HasSubstr;

struct Refused {
  Arguments arguments;
  int exit_code;
  std::string message;
};

TEST(Check, FindsWhatARunWouldRefuseAndTheRunWritesNothing) {
  const TemporaryFolder folder;
  const std::string recipe = write_run(folder.path()).string();
  const std::vector<Refused> cases = {
      {{"--optimizer.bias_correction", "false"}, 3, "optimizer.bias_correction: false"},
      {{"--optimizer.grad_dtype", "bfloat16"}, 2, "--optimizer.grad_dtype: is bfloat16, and a weight is in float32"},
      {{"--optimizer.param_group_overrides", "[{'pattern': '('}]"}, 2, "is no regular expression"},
      {{"--optimizer.param_group_overrides", "[{'pattern': 'zzz'}]"}, 2, "matches no trainable parameter"},
      {{"--lr_scheduler.init_lr", "5"}, 2, "--lr_scheduler.init_lr: is 5"},
      {{"--lr_scheduler.lr_decay_style", "WSD"}, 2, "lr_scheduler.wsd_decay_steps: is missing"},
      {{"--step_scheduler.preemption_signal", "[SIGBOGUS]"}, 2, "'[SIGBOGUS]' is no signal"},
      {{"--dataset.split", "train[x:"}, 2, "--dataset.split: 'train[x:' is not a split"}};
  for (const auto& refused : cases) {
    SCOPED_TRACE(refused.message);
    Arguments check = {"check", recipe}, train = {recipe};
    check.insert(check.end(), refused.arguments.begin(), refused.arguments.end());
    train.insert(train.end(), refused.arguments.begin(), refused.arguments.end());
    const auto checked = run(check), trained = run(train);
    EXPECT_EQ(checked.exit_code, refused.exit_code);
    EXPECT_THAT(checked.out, HasSubstr(refused.message));
    EXPECT_EQ(trained.exit_code, refused.exit_code);
    EXPECT_THAT(trained.err, HasSubstr(refused.message));
    EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  }
}

TEST(Check, ABrokenConfigJsonIsAMistake) {
  const TemporaryFolder folder;
  const std::string recipe = write_run(folder.path()).string();
  for (const char* text : {"{\"model_type\":", "{}", "[1]"}) {
    folder.write("broken/config.json", text);
    const auto checked = run({"check", recipe, "--model.pretrained_model_name_or_path", (folder / "broken").string()});
    EXPECT_EQ(checked.exit_code, 2) << text;
    EXPECT_THAT(checked.out, HasSubstr("config.json")) << text;
  }
}

TEST(Check, EachOfSeveralMistakesHasItsPlaceAndItsHint) {
  const TemporaryFolder folder;
  const auto refused = run({write_run(folder.path()).string(), "--lr_scheduler.lr_decay_style", "cosin",
                            "--step_scheduler.num_epochs", "two", "--optimizer.lrr", "1"});
  EXPECT_EQ(refused.exit_code, 2);
  for (const char* mistake : {"error: --lr_scheduler.lr_decay_style: expected one of",
                              "error: --step_scheduler.num_epochs: expected an integer", "error: --optimizer.lrr: "})
    EXPECT_THAT(refused.err, HasSubstr(mistake));
}

}  // namespace
}  // namespace automodel::program
