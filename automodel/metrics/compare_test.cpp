#include "automodel/metrics/compare.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/base/text.h"

namespace automodel::metrics {
namespace {

using testing::HasSubstr;

std::string run_text(int steps, const std::function<double(int)>& loss, double tps) {
  std::string text;
  for (int step = 0; step < steps; ++step)
    text += fmt::format("{{\"step\": {}, \"loss\": {}, \"tps\": {}, \"mem\": 1.5}}\n", step, loss(step),
                        tps * (step == 0 ? 0.1 : 1));
  return text;
}

TEST(Compare, FindsWhereAndHowMuchRunsDiffer) {
  const TemporaryFolder a, b, c;
  const auto loss = [](int step) { return 2.0 / (step + 1); };
  a.write("training.jsonl", run_text(40, loss, 100));
  b.write("training.jsonl", run_text(40, loss, 250));
  c.write("training.jsonl", run_text(
                                30, [&](int step) { return loss(step) + (step == 7 ? 0.01 : 0.001); }, 50));
  const Json result = compare_runs({load_run(a), load_run(b), load_run(c / "training.jsonl")});
  EXPECT_EQ(result["runs"][0]["steps"], 40);
  EXPECT_EQ(result["runs"][0]["final_loss"], 0.05);
  EXPECT_EQ(result["runs"][1]["median_tps"], 250.0);
  EXPECT_EQ(result["runs"][2]["peak_mem_gib"], 1.5);
  EXPECT_EQ(result["compared"][0]["equal"], true);
  EXPECT_EQ(result["compared"][0]["max_difference"], 0.0);
  EXPECT_EQ(result["compared"][1]["equal"], false);
  EXPECT_EQ(result["compared"][1]["steps"], 30);
  EXPECT_EQ(result["compared"][1]["at_step"], 7);
  EXPECT_NEAR(result["compared"][1]["max_difference"].get<double>(), 0.01, 1e-12);
  EXPECT_NEAR(result["compared"][1]["max_relative"].get<double>(), 0.01 / 0.25, 1e-12);
  ASSERT_EQ(result["rows"].size(), 40u);
  EXPECT_EQ(result["rows"][39]["losses"].dump(), "[0.05,0.05,null]");

  const std::string text = comparison_text(result, 5);
  EXPECT_THAT(text, HasSubstr("run 1: every loss is equal to run 0's, bit for bit, over 40 steps"));
  EXPECT_THAT(text,
              HasSubstr("run 2: differs from run 0 by at most 0.01 (step 7), relative 0.04, over 30 common steps"));
  EXPECT_THAT(text, HasSubstr("2.50x"));
  EXPECT_THAT(text, testing::ContainsRegex("\n +0 +2.000000 +2.000000 +2.001000"));
  EXPECT_THAT(text, testing::ContainsRegex("\n +39 +0.050000 +0.050000 +- +0\n"));
}

TEST(Compare, ALaterLineOfAStepHolds) {
  const TemporaryFolder a;
  a.write("training.jsonl",
          "{\"step\":0,\"loss\":3.0}\n{\"step\":1,\"loss\":2.0}\n{\"step\":1,\"loss\":1.0}\n{\"step\":2,\"lo");
  const auto run = load_run(a);
  EXPECT_EQ(run.steps.size(), 2u);
  EXPECT_EQ(run.steps.at(1).loss, 1.0);
  EXPECT_THAT(comparison_text(compare_runs({run})), HasSubstr("1.000000"));
}

TEST(Compare, RunsWithoutACommonStepSayso) {
  const TemporaryFolder a, b;
  a.write("training.jsonl", "{\"step\":0,\"loss\":3.0}\n");
  b.write("training.jsonl", "{\"step\":5,\"loss\":null}\n");
  EXPECT_THAT(comparison_text(compare_runs({load_run(a), load_run(b)})),
              HasSubstr("run 1: no step in common with run 0"));
}

TEST(Compare, WhatIsNoRunIsRefused) {
  const TemporaryFolder a;
  EXPECT_THAT(message_of<DataError>([&] { load_run(a); }), HasSubstr("is no run: it holds no training.jsonl"));
  EXPECT_THAT(message_of<DataError>([&] { load_run(a / "missing"); }), HasSubstr("is no run"));
  a.write("training.jsonl", "");
  EXPECT_THAT(message_of<DataError>([&] { load_run(a); }), HasSubstr("holds no record"));
  a.write("training.jsonl", "{\"step\":0}\nnonsense\n{\"step\":1}\n");
  EXPECT_THAT(message_of<DataError>([&] { load_run(a); }), HasSubstr("training.jsonl:2:"));
  a.write("training.jsonl", "{\"step\":0}\n{\"loss\":1}\n");
  EXPECT_THAT(message_of<DataError>([&] { load_run(a); }), HasSubstr("training.jsonl:2: is no record of a step"));
}

}  // namespace
}  // namespace automodel::metrics
