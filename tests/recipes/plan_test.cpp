// `plan` tells the steps that the run then makes, and how it knows them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

TEST(Plan, SaysHowItKnowsTheSteps) {
  TemporaryFolder other;
  const auto yaml = write_run(other.path()).string();
  const Arguments packed = {"--packed_sequence.packed_sequence_size",
                            "256",
                            "--step_scheduler.max_steps",
                            "1000",
                            "--step_scheduler.num_epochs",
                            "3",
                            "--dataloader.shuffle",
                            "true"};
  Arguments planned = {"plan", yaml, "--json"}, trained = {yaml};
  planned.insert(planned.end(), packed.begin(), packed.end());
  trained.insert(trained.end(), packed.begin(), packed.end());
  const auto plan = json_of(planned);
  expect_success(run(trained));
  EXPECT_EQ(plan.at("steps_counted"), true);
  EXPECT_EQ(plan.at("total_steps"), steps_of(other / "out").size());

  planned.erase(planned.begin() + 2);
  EXPECT_THAT(run(planned).out, testing::HasSubstr("in all (counted)"));
  write_chats(other / "train.jsonl", 1500);
  planned.insert(planned.end(), {"--step_scheduler.num_epochs", "100", "--step_scheduler.max_steps", "100000"});
  EXPECT_THAT(run(planned).out, testing::AllOf(testing::HasSubstr("steps        about"),
                                               testing::HasSubstr("estimated from 256 of 1500 rows")));
}

}  // namespace
}  // namespace automodel::program
