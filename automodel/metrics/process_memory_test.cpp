#include "automodel/metrics/process_memory.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

namespace automodel::metrics {
namespace {

// Fields 1 to 22 of /proc/self/stat; the name holds what a reader could stumble over.
std::string stat_with(const std::string& start_ticks) {
  std::string text = "4711 (a) b (c)) S";
  for (int field = 4; field < 22; ++field) text += " 1";
  return text + " " + start_ticks + " 99 99";
}

TEST(ProcessAge, IsUptimeLessTheStart) {
  EXPECT_DOUBLE_EQ(parse_process_age(stat_with("7200"), 74, 100, 1.5).value(), 2);
}

TEST(ProcessAge, IsNotBelievedWhereItCannotBe) {
  EXPECT_FALSE(parse_process_age(stat_with("0"), 74, 100, 1.5));     // as old as the machine: the sandbox does not know
  EXPECT_FALSE(parse_process_age(stat_with("1"), 74, 100, 1.5));     // a minute of loading that nobody saw
  EXPECT_FALSE(parse_process_age(stat_with("7300"), 74, 100, 1.5));  // younger than what this process measured
  EXPECT_FALSE(parse_process_age("4711 (automodel) S 1 2", 74, 100, 1.5));
  EXPECT_FALSE(parse_process_age("", 74, 100, 1.5));
}

TEST(ProcessAge, GrowsAsTheClockDoes) {
  const double before = seconds_since_process_start();
  EXPECT_GT(before, 0);
  EXPECT_LT(before, 600);  // this test's time limit
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_GT(seconds_since_process_start() - before, 0.04);
}

}  // namespace
}  // namespace automodel::metrics
