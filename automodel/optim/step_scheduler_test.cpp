#include "automodel/optim/step_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"

namespace automodel::optim {
namespace {

using config::StepSchedulerSection;
using testing::ElementsAre;
using testing::HasSubstr;

StepSchedulerSection section(int64_t epochs, std::optional<int64_t> max_steps, std::optional<int64_t> ckpt,
                             std::optional<int64_t> val, bool every_epoch = true) {
  StepSchedulerSection s;
  s.global_batch_size = 8;
  s.local_batch_size = 2;
  s.num_epochs = epochs;
  s.max_steps = max_steps;
  s.ckpt_every_steps = ckpt;
  s.val_every_steps = val;
  s.save_checkpoint_every_epoch = every_epoch;
  return s;
}

struct Seen {
  std::vector<int64_t> checkpoints, validations, epoch_ends, last;
  int64_t steps = 0;
};

// Each epoch has `epoch_steps` steps; a signal comes in step `signal`.
Seen drive(StepScheduler& scheduler, int64_t epoch_steps, int64_t signal = -1) {
  Seen seen;
  int64_t in_epoch = scheduler.step() % epoch_steps;
  while (!scheduler.done()) {
    const bool end = ++in_epoch == epoch_steps;
    const auto events = scheduler.finish_step(end, scheduler.step() == signal);
    if (end) in_epoch = 0, seen.epoch_ends.push_back(events.step);
    if (events.checkpoint) seen.checkpoints.push_back(events.step);
    if (events.validate) seen.validations.push_back(events.step);
    if (events.last_step) seen.last.push_back(events.step);
    ++seen.steps;
  }
  return seen;
}

TEST(StepScheduler, IntervalsEpochsAndTheLastStepFireAsInNemo) {
  StepScheduler scheduler(section(2, std::nullopt, 4, 3), 1, 40);  // 40 microbatches / 4 = 10 steps an epoch
  EXPECT_EQ(scheduler.grad_acc_steps(), 4);
  EXPECT_EQ(scheduler.epoch_len(), 10);
  EXPECT_EQ(scheduler.total_steps(), 20);
  const Seen seen = drive(scheduler, 10);
  EXPECT_EQ(seen.steps, 20);
  EXPECT_THAT(seen.epoch_ends, ElementsAre(9, 19));
  EXPECT_THAT(seen.checkpoints, ElementsAre(3, 7, 9, 11, 15, 19));
  EXPECT_THAT(seen.validations, ElementsAre(2, 3, 5, 7, 8, 9, 11, 14, 15, 17, 19));
  EXPECT_THAT(seen.last, ElementsAre(19));
}

TEST(StepScheduler, WithoutEpochCheckpointsOnlyIntervalsAndTheEnd) {
  StepScheduler scheduler(section(2, std::nullopt, 8, std::nullopt, false), 1, 37);  // 9.25 steps: the tail is a step
  EXPECT_EQ(scheduler.epoch_len(), 10);
  const Seen seen = drive(scheduler, 10);
  EXPECT_THAT(seen.checkpoints, ElementsAre(7, 15, 19));
  EXPECT_THAT(seen.validations, ElementsAre(7, 15, 19));  // with every checkpoint
}

TEST(StepScheduler, MaxStepsEndsTheRunInMidEpoch) {
  StepScheduler scheduler(section(10, 13, 100, std::nullopt), 2, 20);
  EXPECT_EQ(scheduler.grad_acc_steps(), 2);
  EXPECT_EQ(scheduler.total_steps(), 13);
  const Seen seen = drive(scheduler, 10);
  EXPECT_EQ(seen.steps, 13);
  EXPECT_THAT(seen.last, ElementsAre(12));
  EXPECT_THAT(seen.checkpoints, ElementsAre(9, 12));
}

TEST(StepScheduler, EpochsEndTheRunBeforeMaxSteps) {
  StepScheduler scheduler(section(2, 100, 100, std::nullopt), 1, 40);
  EXPECT_EQ(scheduler.total_steps(), 20);
  EXPECT_THAT(drive(scheduler, 10).last, ElementsAre(19));
}

TEST(StepScheduler, AStreamIsToldWhereItsEpochsEnd) {
  StepScheduler scheduler(section(3, 50, std::nullopt, std::nullopt), 1, std::nullopt);
  EXPECT_FALSE(scheduler.epoch_len().has_value());
  EXPECT_EQ(scheduler.total_steps(), 50);
  const Seen seen = drive(scheduler, 7);
  EXPECT_THAT(seen.checkpoints, ElementsAre(6, 13, 20));  // max_steps / 2 = 25 is never reached
  EXPECT_THAT(seen.last, ElementsAre(20));
}

TEST(StepScheduler, LongerEpochsThanCountedAheadAreTrainedWhole) {
  StepScheduler scheduler(section(2, std::nullopt, 100, std::nullopt), 1, 40);
  EXPECT_EQ(drive(scheduler, 12).steps, 24);
}

TEST(StepScheduler, ASignalSavesWithoutValidatingAndEnds) {
  StepScheduler scheduler(section(2, std::nullopt, 4, 3), 1, 40);
  const Seen seen = drive(scheduler, 10, 5);  // step 5 is a validation step
  EXPECT_EQ(seen.steps, 6);
  EXPECT_THAT(seen.checkpoints, ElementsAre(3, 5));
  EXPECT_THAT(seen.validations, ElementsAre(2, 3));
  EXPECT_TRUE(scheduler.done());
}

TEST(StepScheduler, ContinuesFromItsState) {
  StepScheduler first(section(2, std::nullopt, 4, 3), 1, 40);
  for (int i = 0; i < 10; ++i) first.finish_step(i == 9, false);
  EXPECT_EQ(first.state().dump(), R"({"step":10,"epoch":1})");
  StepScheduler second(section(2, std::nullopt, 4, 3), 1, 40);
  second.restore(first.state());
  EXPECT_THAT(drive(second, 10).checkpoints, ElementsAre(11, 15, 19));

  second.restore(Json{{"step", 20}, {"epoch", 2}});
  EXPECT_TRUE(second.done());
  for (const char* bad : {R"({"step": 3})", R"({"step": -1, "epoch": 0})", R"({"step": "3", "epoch": 0})", "[]",
                          R"({"step": 1e300, "epoch": 0})"})
    EXPECT_THAT(message_of([&] { second.restore(Json::parse(bad)); }), HasSubstr("step scheduler: '")) << bad;
}

TEST(StepScheduler, RemoteLoggingAndGarbageCollectionKeepTheirIntervals) {
  auto s = section(1, 10, std::nullopt, std::nullopt);
  s.log_remote_every_steps = 4;
  s.gc_every_steps = 5;
  StepScheduler scheduler(s, 1, 400);
  std::vector<int64_t> remote, collected;
  while (!scheduler.done()) {
    const auto events = scheduler.finish_step(false, false);
    if (events.log_remote) remote.push_back(events.step);
    if (events.collect_garbage) collected.push_back(events.step);
  }
  EXPECT_THAT(remote, ElementsAre(0, 4, 8));
  EXPECT_THAT(collected, ElementsAre(0, 5));
}

TEST(StepScheduler, SizesThatDoNotFitAreRefusedWithOnesThatDo) {
  auto s = section(1, std::nullopt, 4, 3);
  s.global_batch_size = 10;
  s.local_batch_size = 2;
  const auto text = message_of([&] { StepScheduler(s, 2, 40); });
  EXPECT_THAT(text, HasSubstr("step_scheduler.global_batch_size: is 10, expected a multiple of local_batch_size x "
                              "data-parallel ranks = 2 x 2 = 4"));
  EXPECT_THAT(text, HasSubstr("8 or 12 would do"));
  EXPECT_THAT(message_of([&] { StepScheduler(section(1, std::nullopt, 4, 3), 1, std::nullopt); }),
              HasSubstr("step_scheduler.max_steps: is missing"));
  EXPECT_THAT(message_of([&] { StepScheduler(section(0, 5, 4, 3), 1, 4); }),
              HasSubstr("step_scheduler.num_epochs: is 0"));
  EXPECT_THAT(message_of([&] { StepScheduler(section(1, 5, 0, 3), 1, 4); }),
              HasSubstr("step_scheduler.ckpt_every_steps: is 0"));
  EXPECT_THAT(message_of([&] { StepScheduler(section(1, 5, 4, -3), 1, 4); }),
              HasSubstr("step_scheduler.val_every_steps: is -3"));
  EXPECT_THAT(message_of([&] { StepScheduler(section(1, 5, 4, 3), 1, 0); }), HasSubstr("holds no batch"));
}

}  // namespace
}  // namespace automodel::optim
