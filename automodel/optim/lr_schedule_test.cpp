#include "automodel/optim/lr_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/base/testing.h"

namespace automodel::optim {
namespace {

using config::LrSchedulerSection;
using testing::HasSubstr;

LrSchedulerSection section_of(const Json& given) {
  LrSchedulerSection section;
  const auto read = [&](const char* name, auto& field) {
    if (given.contains(name)) field = given[name].get<typename std::decay_t<decltype(field)>::value_type>();
  };
  read("init_lr", section.init_lr);
  read("max_lr", section.max_lr);
  read("min_lr", section.min_lr);
  read("lr_warmup_steps", section.lr_warmup_steps);
  read("lr_decay_steps", section.lr_decay_steps);
  read("wsd_decay_steps", section.wsd_decay_steps);
  read("lr_wsd_decay_style", section.lr_wsd_decay_style);
  read("start_wd", section.start_wd);
  read("end_wd", section.end_wd);
  read("wd_incr_steps", section.wd_incr_steps);
  section.lr_decay_style = given.value("lr_decay_style", section.lr_decay_style);
  section.wd_incr_style = given.value("wd_incr_style", section.wd_incr_style);
  return section;
}

TEST(LrSchedule, EveryStyleEqualsItsFormulaOverTheWholeRunAndBeyond) {
  const Json goldens = load_json(source_folder() / "automodel/optim/testdata/schedule_goldens.json");
  ASSERT_GE(goldens.size(), 12u);
  for (const auto& golden : goldens) {
    const auto schedule = LrSchedule::make(section_of(golden["given"]), 1e-5, 0.01, 100);
    for (size_t n = 0; n < golden["lr"].size(); ++n) {
      EXPECT_NEAR(schedule.lr(static_cast<int64_t>(n)), golden["lr"][n].get<double>(), 1e-18)
          << golden["given"] << " " << n;
      EXPECT_NEAR(schedule.weight_decay(static_cast<int64_t>(n)), golden["wd"][n].get<double>(), 1e-15)
          << golden["given"] << " " << n;
    }
  }
}

// NeMo AutoModel's golden run llama3_2_1b_squad: lr 1e-5, 100 steps, cosine; it logs 1.9e-6 for step 0.
TEST(LrSchedule, LoggedRateOfNemosGoldenRun) {
  const auto schedule = LrSchedule::make({}, 1e-5, 0, 100);
  EXPECT_DOUBLE_EQ(schedule.lr(0 + 1), 1.9e-6);
  EXPECT_DOUBLE_EQ(schedule.lr(0), 1e-6);
  EXPECT_THAT(schedule.describe(), HasSubstr("cosine from 1e-05 to 1e-07 in 100 steps, 10 of warm-up from 1e-06"));
}

TEST(LrSchedule, WithoutASectionNothingChanges) {
  const auto schedule = LrSchedule::fixed(3e-4, 0.1);
  for (const int64_t n : {0, 1, 1000000}) {
    EXPECT_EQ(schedule.lr(n), 3e-4);
    EXPECT_EQ(schedule.weight_decay(n), 0.1);
  }
}

TEST(LrSchedule, WarmUpIsATenthOfTheRunButAtMostAThousandSteps) {
  EXPECT_DOUBLE_EQ(LrSchedule::make({}, 1, 0, 50).lr(5), 1);
  EXPECT_LT(LrSchedule::make({}, 1, 0, 50).lr(4), 1);
  EXPECT_DOUBLE_EQ(LrSchedule::make({}, 1, 0, 1'000'000).lr(1000), 1);
  EXPECT_LT(LrSchedule::make({}, 1, 0, 1'000'000).lr(999), 1);
  EXPECT_DOUBLE_EQ(LrSchedule::make({}, 1, 0, 1).lr(0), 1);  // too short to warm up
}

TEST(LrSchedule, ContradictionsAreRefusedByKey) {
  const auto fault = [](const char* given) -> std::string {
    try {
      LrSchedule::make(section_of(Json::parse(given)), 1e-5, 0.01, 100);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(fault(R"({"min_lr": 0.0})"), "accepted");
  EXPECT_THAT(fault(R"({"lr_decay_style": "cosin"})"), HasSubstr("lr_scheduler.lr_decay_style: is 'cosin'"));
  EXPECT_THAT(fault(R"({"lr_decay_style": "cosin"})"), HasSubstr("did you mean 'cosine'?"));
  EXPECT_THAT(fault(R"({"lr_warmup_steps": 100})"),
              HasSubstr("lr_scheduler.lr_warmup_steps: is 100, expected fewer than the 100"));
  EXPECT_THAT(fault(R"({"min_lr": 1e-4})"), HasSubstr("lr_scheduler.max_lr"));
  EXPECT_THAT(fault(R"({"init_lr": 1e-4})"), HasSubstr("lr_scheduler.init_lr"));
  EXPECT_THAT(fault(R"({"min_lr": -1.0})"), HasSubstr("lr_scheduler.min_lr"));
  EXPECT_THAT(fault(R"({"lr_decay_style": "WSD"})"), HasSubstr("lr_scheduler.wsd_decay_steps: is missing"));
  EXPECT_THAT(fault(R"({"lr_decay_style": "WSD", "wsd_decay_steps": 5})"),
              HasSubstr("lr_scheduler.lr_wsd_decay_style: is missing"));
  EXPECT_THAT(fault(R"({"start_wd": 0.0, "end_wd": 0.1})"), HasSubstr("lr_scheduler.wd_incr_style"));
  EXPECT_THAT(fault(R"({"start_wd": 0.2, "end_wd": 0.1})"), HasSubstr("lr_scheduler.end_wd"));
}

}  // namespace
}  // namespace automodel::optim
