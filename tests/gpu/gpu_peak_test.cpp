// The measure of the MFU: the vendor's figure of the GPU at hand, or none.
#include "automodel/recipes/gpu_peak.h"

#include <gtest/gtest.h>

#include "automodel/recipes/benchmark.h"

namespace automodel::recipes {
namespace {

TEST(GpuPeak, IsThatOfTheDataSheet) {
  for (const auto& [name, tflops] : std::vector<std::pair<const char*, double>>{{"NVIDIA H200", 989},
                                                                                {"NVIDIA H100 80GB HBM3", 989},
                                                                                {"NVIDIA GH200 480GB", 989},
                                                                                {"NVIDIA H100 PCIe", 756},
                                                                                {"NVIDIA B200", 2250},
                                                                                {"NVIDIA A100-SXM4-80GB", 312},
                                                                                {"NVIDIA A100 80GB PCIe", 312},
                                                                                {"NVIDIA L40S", 362},
                                                                                {"NVIDIA GeForce RTX 4090", 165.2}})
    EXPECT_EQ(peak_tflops(name), tflops) << name;
}

TEST(GpuPeak, IsUnknownRatherThanWrong) {
  for (const char* name :
       {"", "NVIDIA H100", "NVIDIA GeForce RTX 4090 D", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H200 MIG 1g.18gb",
        "NVIDIA GH200 480GB MIG 1g.12gb", "NVIDIA A100-SXM-64GB", "Tesla"})
    EXPECT_EQ(peak_tflops(name), std::nullopt) << name;
}

TEST(BenchmarkResult, TellsTheMfuOnlyAgainstAKnownPeak) {
  BenchmarkResult result{
      .device = "NVIDIA H100 PCIe", .tokens_per_step = 1000, .flops_per_token = 378e9, .median_ms = 1000};
  result.peak_tflops = peak_tflops(result.device);
  EXPECT_EQ(result.mfu(), 0.5);
  EXPECT_EQ(result.json().at("peak_tflops"), 756);
  EXPECT_NE(result.text().find("378.00 TFLOP/s, MFU 50.0 % of 756 TFLOP/s\n"), std::string::npos) << result.text();
  result.device = "NVIDIA X1";
  result.peak_tflops = peak_tflops(result.device);
  EXPECT_EQ(result.mfu(), std::nullopt);
  EXPECT_TRUE(result.json().at("mfu").is_null());
  EXPECT_NE(result.text().find("no MFU: unknown GPU"), std::string::npos) << result.text();
  result.device = "cpu";
  EXPECT_EQ(result.text().find("MFU"), std::string::npos);
}

}  // namespace
}  // namespace automodel::recipes
