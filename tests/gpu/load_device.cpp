// Linked into every test program that makes tensors: where AUTOMODEL_TEST_DEVICE names a GPU, its libraries are loaded
// before the first tensor and the first backward, since libtorch asks only once which devices there are.
#include <gtest/gtest.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/tensor/testing.h"

namespace automodel {
namespace {

struct TestDevice : testing::Environment {
  TestDevice() {
    if (test_device().is_cuda()) kernels::load_cuda();
  }
  void SetUp() override {  // a failure here fails the program and runs none of its tests
    if (!test_device().is_cuda()) return;
    const auto& cuda = kernels::load_cuda();
    ASSERT_TRUE(cuda.ready) << "AUTOMODEL_TEST_DEVICE: no GPU can be used: " << cuda.reason
                            << "\n  hint: " << cuda.hint;
  }
};

[[maybe_unused]] const auto* kTestDevice = testing::AddGlobalTestEnvironment(new TestDevice);

}  // namespace
}  // namespace automodel
