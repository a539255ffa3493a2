// What doctor and a run's start say of drivers and libraries of other versions, on made-up machines.
#include "automodel/kernels/cuda/versions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/version.h>

#include <cstdlib>

namespace automodel::kernels {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

GpuLibrary cudnn(const std::string& version) { return {"cudnn", version, "9.19.1.56", "/opt/lib/libcudnn.so.9"}; }

TEST(Versions, ADriverMustBeAsNewAsTheLibraries) {
  EXPECT_FALSE(judge_driver(13000));
  EXPECT_FALSE(judge_driver(14020));
  for (const int old : {12080, 12999, 0}) ASSERT_TRUE(judge_driver(old)) << old;
  EXPECT_THAT(judge_driver(12080)->reason, HasSubstr("too old: it supports CUDA 12.8, 13.0 is needed"));
  EXPECT_THAT(judge_driver(12080)->hint, HasSubstr("driver 580 or newer"));
}

TEST(Versions, TheSameOrANewerLibraryOfTheMajorVersionWillDo) {
  for (const char* version : {"9.19.0", "9.19.1", "9.20.0", "9.100.0"}) EXPECT_FALSE(judge_libraries({cudnn(version)}));
  for (const char* version : {"9.18.9", "9.1.0", "8.9.7", "10.0.0"}) {
    const auto fault = judge_libraries({{"nccl", "2.28.9", "2.28.9", ""}, cudnn(version)});
    ASSERT_TRUE(fault) << version;
    EXPECT_THAT(fault->reason,
                AllOf(HasSubstr(std::string("cudnn ") + version + " (/opt/lib/libcudnn.so.9) was loaded"),
                      HasSubstr("9.19 or a newer one of version 9 is needed")));
    EXPECT_THAT(fault->hint, HasSubstr("tools/setup --cuda"));
  }
  // The runtime tells two numbers of its own, the wheel has three.
  EXPECT_FALSE(judge_libraries({{"cuda_runtime", "13.0", "13.0.96", ""}}));
  EXPECT_TRUE(judge_libraries({{"cuda_runtime", "12.9", "13.0.96", ""}}));
  EXPECT_FALSE(judge_libraries({{"cuda_runtime", "13.0", "", ""}, {"odd", "unknown", "1.0", ""}}));
}

TEST(Versions, ALibraryThatNoRunNeedsPutsNoGpuOff) {
  for (const char* version : {"2.10.3", "2.30.1", "3.0.0"}) {
    const GpuLibrary nccl{"nccl", version, "2.28.9", "/opt/lib/libnccl.so.2", false};
    EXPECT_FALSE(judge_libraries({nccl})) << version;
    EXPECT_THAT(other_versions({nccl}), testing::ElementsAre(HasSubstr("this program is tested with 2.28.9")));
    EXPECT_TRUE(judge_libraries({nccl, cudnn("9.1.0")})) << version;
  }
}

TEST(Versions, KernelsRunOnTheGpusThatTheyWereBuiltFor) {
  for (const auto& [major, minor, archs] : std::vector<std::tuple<int, int, const char*>>{{9, 0, "90a"},
                                                                                          {9, 0, "80 90a"},
                                                                                          {8, 0, "80"},
                                                                                          {8, 6, "80"},
                                                                                          {8, 9, "80 89 90a 120"},
                                                                                          {12, 0, "80 89 90a 120"}})
    EXPECT_FALSE(judge_gpu("GPU", major, minor, archs)) << major << minor << archs;
  const auto other = judge_gpu("NVIDIA A10", 8, 6, "89 90a");
  ASSERT_TRUE(other);
  EXPECT_EQ(other->reason, "NVIDIA A10 has compute capability 8.6, our kernels were built for 89 90a");
  EXPECT_THAT(other->hint, AllOf(HasSubstr("-DAUTOMODEL_CUDA_ARCHS=\"89;90a;86\""), HasSubstr("CUDA_VISIBLE_DEVICES")));
  EXPECT_THAT(judge_gpu("NVIDIA H100", 9, 0, "80")->hint, HasSubstr("\"80;90a\""));
  EXPECT_TRUE(judge_gpu("NVIDIA B200", 10, 0, "90a 120"));
}

// No build serves it: the hint must not send anybody to one.
TEST(Versions, AGpuThatIsTooOldIsToldSo) {
  for (const auto& [major, minor] : std::vector<std::pair<int, int>>{{7, 5}, {7, 0}, {6, 1}}) {
    const auto old = judge_gpu("Tesla", major, minor, "80 90a");
    ASSERT_TRUE(old) << major;
    EXPECT_THAT(old->reason, AllOf(HasSubstr("Tesla is too old"), HasSubstr("8.0 or newer is needed")));
    EXPECT_THAT(old->hint, AllOf(HasSubstr("newer GPU"), Not(HasSubstr("ARCHS"))));
  }
}

TEST(Versions, TheHintNamesTheVariableThatGoesBeforeTheWheels) {
  const char* given = std::getenv("LD_LIBRARY_PATH");
  const std::string before = given ? given : "";
  ::setenv("LD_LIBRARY_PATH", "/opt/old", 1);
  EXPECT_THAT(judge_libraries({cudnn("9.1.0")})->hint, HasSubstr("LD_LIBRARY_PATH (/opt/old) goes before the wheels"));
  ::unsetenv("LD_LIBRARY_PATH");
  EXPECT_THAT(judge_libraries({cudnn("9.1.0")})->hint, Not(HasSubstr("LD_LIBRARY_PATH")));
  if (given) ::setenv("LD_LIBRARY_PATH", before.c_str(), 1);
}

TEST(Versions, AnotherOneThatWillDoIsNoted) {
  EXPECT_THAT(other_versions({cudnn("9.19.1"), {"cuda_runtime", "13.0", "13.0.96", ""}}), IsEmpty());
  EXPECT_THAT(
      other_versions({cudnn("9.20.1")}),
      testing::ElementsAre("cudnn 9.20.1 (/opt/lib/libcudnn.so.9) is loaded, this program is tested with 9.19.1"));
}

TEST(Versions, LibtorchMustBeTheVeryOne) {
  EXPECT_EQ(loaded_libtorch(), TORCH_VERSION);
  EXPECT_EQ(judge_libtorch("2.11.0", "2.11.0"), "");
  EXPECT_EQ(judge_libtorch("", "2.11.0"), "");
  EXPECT_THAT(judge_libtorch("2.10.1", "2.11.0"),
              HasSubstr("libtorch 2.10.1 is loaded, this program was compiled with 2.11.0"));
}

}  // namespace
}  // namespace automodel::kernels
