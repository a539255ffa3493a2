#include "automodel/kernels/cuda/gpu_libraries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace automodel::kernels {
namespace {

// The runtime lies beside libtorch in every profile: its wheel is one of the CPU's too.
TEST(GpuLibraries, AreFoundBesideLibtorchWithoutAGpu) {
  const auto found = find_gpu_libraries();
  std::vector<std::string> names;
  for (const auto& library : found.libraries) {
    names.push_back(library.name);
    EXPECT_NE(library.version.empty(), library.fault.empty()) << library.name << ": " << library.fault;
    EXPECT_EQ(library.path.empty(), library.version.empty()) << library.name;
    EXPECT_FALSE(library.pinned.empty()) << library.name;
    EXPECT_EQ(library.needed, library.name != "nccl");
  }
  EXPECT_THAT(names, testing::ElementsAre("cuda_runtime", "cublas_lt", "cudnn", "nccl"));
  EXPECT_EQ(found.libraries[0].version, "13.0") << found.libraries[0].fault;
  EXPECT_TRUE(found.libraries[0].pinned.starts_with("13.0."));
  const auto loaded = loaded_gpu_libraries();
  EXPECT_TRUE(std::any_of(loaded.begin(), loaded.end(), [](const auto& each) { return each.name == "cuda_runtime"; }));
}

}  // namespace
}  // namespace automodel::kernels
