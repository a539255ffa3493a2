#include "automodel/kernels/dropout/dropout_gpu.h"

#include <gtest/gtest.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/tensor/dropout.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

TEST(DropoutOnGpu, IsThatOfTheCpuToTheBit) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "needs a GPU (tests/gpu/run)";
  require_cuda("AUTOMODEL_TEST_DEVICE");
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const int64_t size : {0, 1, 7, 4096, 100003})
      for (const double p : {0.001, 0.1, 0.5, 1.0})
        for (const bool gaps : {false, true}) {
          SCOPED_TRACE(testing::Message() << dtype << " " << size << " " << p << " " << gaps);
          const auto plain = random_tensor({size}, 3, dtype).detach();
          const auto x = (gaps ? strided(plain) : plain).requires_grad_();
          const auto twin = plain.detach().cpu().requires_grad_();
          const RandomKey key{uint64_t{1} << 40, 7};
          const auto y = dropout(x, p, key), truth = dropout(twin, p, key);
          EXPECT_TRUE(y.detach().cpu().equal(truth.detach()));
          y.backward(x.detach() * 2), truth.backward(twin.detach() * 2);
          EXPECT_TRUE(x.grad().cpu().equal(twin.grad()));
        }
}

}  // namespace
}  // namespace automodel::kernels
