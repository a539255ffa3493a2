#include "automodel/kernels/cuda/device_error.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

TEST(DeviceError, IsWhatLibtorchSaysOfAFailedGpuInOneLineWithAHint) {
  const c10::AcceleratorError fault({"f", "g.cpp", 1}, 719, "CUDA error: unspecified launch failure\nSearch for ...");
  const auto error = as_device_error(fault);
  ASSERT_TRUE(error);
  EXPECT_EQ(std::string(error->what()),
            "the GPU failed: CUDA error: unspecified launch failure\n  hint: `nvidia-smi` and `dmesg | grep Xid` say "
            "more; a run that saves checkpoints goes on from the last one by the same command");
  EXPECT_EQ(error->exit_code(), 1);
}

TEST(DeviceError, TellsFullMemoryFromAFailedGpu) {
  const auto error = as_device_error(c10::OutOfMemoryError({"f", "g.cpp", 1}, "CUDA out of memory. Tried to ..."));
  ASSERT_TRUE(error);
  EXPECT_EQ(std::string(error->what()).find("GPU memory: is full"), 0u) << error->what();
  EXPECT_EQ(dynamic_cast<const DeviceError*>(&*error), nullptr);
}

TEST(DeviceError, IsNoOtherFault) {
  EXPECT_FALSE(as_device_error(c10::Error({"f", "g.cpp", 1}, "CUDA is not mentioned as a failure")));
  EXPECT_FALSE(as_device_error(std::runtime_error("CUDA error")));
}

TEST(DeviceError, ComesFromAFailedLaunch) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: no launch was made";
  const CudaLaunch on(random_tensor({2}, 1));
  EXPECT_NO_THROW(on(0));
  EXPECT_THROW(on(719), DeviceError);
}

}  // namespace
}  // namespace automodel::kernels
