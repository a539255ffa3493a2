#include "automodel/kernels/product/product_gpu.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>

#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

TEST(ProductGpu, AddsAnotherTensorThanItsResult) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: products on the GPU were not tested";
  struct Size {
    int64_t M, K, N;
  };
  for (const auto& [M, K, N] :
       {Size{1, 1, 1}, Size{0, 8, 8}, Size{8, 0, 8}, Size{13, 17, 5}, Size{257, 64, 40}, Size{512, 1024, 256}})
    for (const auto dtype : {at::kBFloat16, at::kHalf})
      for (int flags = 0; flags < 16; ++flags) {
        const bool a_turned = flags & 1, b_turned = flags & 2, adds = flags & 4, wide = flags & 8;
        SCOPED_TRACE(testing::Message() << M << "x" << K << "x" << N << " " << dtype << " flags " << flags);
        const auto a = a_turned ? random_tensor({K, M}, 1, dtype).t() : random_tensor({M, K}, 1, dtype),
                   b = b_turned ? random_tensor({N, K}, 2, dtype).t() : random_tensor({K, N}, 2, dtype);
        const auto out_dtype = wide ? at::kFloat : dtype;
        const auto c = adds ? padded(random_tensor({M, N}, 3, out_dtype), 8) : at::Tensor();
        auto out = empty_padded(M, N, 16, a.options().dtype(out_dtype));
        out.fill_(NAN);
        product_gpu(out, a, b, c);
        auto expected = a.to(at::kDouble).matmul(b.to(at::kDouble));
        if (adds) expected = expected + c.to(at::kDouble);
        EXPECT_TRUE(is_close(out, expected, wide ? 1e-5 : dtype == at::kHalf ? 0x1p-10 : 0x1p-7));
      }
}

// recipes/numerics.h: without it fp32 products are exact to fp32, with it they have the error of 11-bit factors.
TEST(ProductGpu, RoundsFactorsOnlyWhereTf32IsOn) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: products on the GPU were not tested";
  const auto a = random_tensor({256, 512}, 1), b = random_tensor({512, 256}, 2);
  const auto truth = a.to(at::kDouble).matmul(b.to(at::kDouble));
  const auto error = [&](bool tf32) {
    at::globalContext().setAllowTF32CuBLAS(tf32);
    auto out = at::empty({256, 256}, a.options());
    product_gpu(out, a, b);
    at::globalContext().setAllowTF32CuBLAS(false);
    return ((out.to(at::kDouble) - truth).norm() / truth.norm()).item<double>();
  };
  EXPECT_LT(error(false), 1e-6);
  EXPECT_GT(error(true), 1e-5);
  EXPECT_LT(error(true), 1e-3);
}

}  // namespace
}  // namespace automodel::kernels
