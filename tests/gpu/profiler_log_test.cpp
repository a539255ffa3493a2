// What libtorch's profiler says of itself: nobody is told of a GPU that nobody asked for, everything else is passed on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>

#include "automodel/recipes/kineto_log.h"

namespace automodel::recipes {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// As Kineto of libtorch 2.11 wrote it on a machine without a driver; the second is of the same form.
const std::string
    kNoGpu = "ERROR:2026-11-24 00:10:07 11677:11677 DeviceProperties.cpp:48] gpuGetDeviceCount failed with code 35\n",
    kNoFile = "ERROR:2026-11-24 00:10:08 11677:11677 output_json.cpp:61] Failed to open '/x'\n";

TEST(ProfilerLog, LeavesOutTheGpuOfAMachineThatNeedsNone) {
  EXPECT_THAT(kineto_faults(kNoGpu, false), IsEmpty());
  EXPECT_THAT(kineto_faults(kNoGpu + kNoFile + "\n", false), ElementsAre("output_json.cpp:61] Failed to open '/x'"));
  EXPECT_THAT(kineto_faults(kNoGpu + "odd", true),
              ElementsAre("DeviceProperties.cpp:48] gpuGetDeviceCount failed with code 35", "odd"));
}

TEST(ProfilerLog, GivesOnWhatItTookAndTheStreamBack) {
  testing::internal::CaptureStderr();
  {
    const KinetoLog log(false);
    std::cerr << kNoGpu << kNoFile;
  }
  std::cerr << "after" << std::endl;
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::AllOf(HasSubstr("warning: the profiler: output_json.cpp:61]"), HasSubstr("after\n"),
                             testing::Not(HasSubstr("gpuGet"))));
}

}  // namespace
}  // namespace automodel::recipes
