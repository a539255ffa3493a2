#include "automodel/kernels/cuda/kernel_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace automodel::kernels {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(KernelLibrary, SaysWhatItIsWithoutAGpu) {
  const auto library = open_kernel_library();
  EXPECT_THAT(library.path, testing::EndsWith("/lib/libautomodel_cuda.so"));
  if (!std::filesystem::exists(library.path)) {
    ASSERT_TRUE(library.fault);
    EXPECT_THAT(library.fault->reason, AllOf(HasSubstr("not there"), HasSubstr(library.path)));
    EXPECT_THAT(library.fault->hint, HasSubstr("tools/setup --cuda"));
    EXPECT_THAT(library.left_out(), IsEmpty());
    GTEST_SKIP() << "the rest needs " << library.path << " (target automodel_cuda)";
  }
  ASSERT_FALSE(library.fault) << library.fault->reason;
  EXPECT_THAT(library.archs, testing::MatchesRegex("[0-9]+[a-z]*( [0-9]+[a-z]*)*"));
  EXPECT_THAT(library.built_with(), testing::MatchesRegex("nvcc 13\\.[0-9]+\\.[0-9]+, CUDA 13\\.[0-9]+.*"));
  EXPECT_EQ(library.built_with().find("cuDNN 9.") != std::string::npos, library.cudnn);
  EXPECT_EQ(library.built_with().find("cuBLAS 13.") != std::string::npos, library.cublas_lt);
  EXPECT_EQ(library.left_out().size(), (library.cudnn ? 0u : 1u) + (library.cublas_lt ? 0u : 1u));
}

TEST(KernelLibrary, NamesWhatWasLeftOutAndWhatIsSlowerByIt) {
  KernelLibrary library;
  library.table.compiler = "nvcc 13.0.88, CUDA 13.0";
  library.table.product.headers = "cuBLAS 13.1.0";
  library.cublas_lt = true;
  EXPECT_EQ(library.built_with(), "nvcc 13.0.88, CUDA 13.0, cuBLAS 13.1.0");
  ASSERT_EQ(library.left_out().size(), 1u);
  EXPECT_THAT(library.left_out()[0].reason, AllOf(HasSubstr("built without cuDNN"), HasSubstr("times as long")));
  EXPECT_THAT(library.left_out()[0].hint, HasSubstr("tools/setup --cuda"));
  library.cudnn = true;
  EXPECT_THAT(library.left_out(), IsEmpty());
  library.cublas_lt = false;
  EXPECT_THAT(library.left_out().at(0).reason, HasSubstr("built without cuBLASLt"));
}

}  // namespace
}  // namespace automodel::kernels
