// The kernel alone, without the products around it: compute-sanitizer's racecheck cannot follow cuBLAS.
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "automodel/kernels/adapter/adapter_cuda.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/dropout/dropout_gpu.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

using cuda::AdapterColumns;
using cuda::AdapterGradients;

// dxa and db of the kernel against products in fp64 on the CPU of the same rounded inputs.
void check(int64_t tokens, int64_t rank, const std::vector<AdapterColumns>& pieces, at::ScalarType dtype,
           bool fp32_grad, double p) {
  SCOPED_TRACE(testing::Message() << tokens << " tokens, rank " << rank << ", " << pieces.size() << " pieces, " << dtype
                                  << ", dropout " << p);
  const int64_t step = (rank + 7) / 8 * 8, count = static_cast<int64_t>(pieces.size()), extra = step * count + 8;
  const int64_t columns = pieces.back().begin + pieces.back().rows + 8,
                b_rows = pieces.back().b_begin + pieces.back().rows;
  const auto dy = random_tensor({tokens, columns}, 1, dtype), xa = random_tensor({tokens, extra}, 2, dtype),
             sb = random_tensor({columns, extra}, 3, dtype);
  auto dxa = at::full({tokens, extra}, 7.0, dy.options());
  auto db = random_tensor({b_rows, rank}, 4, fp32_grad ? at::kFloat : dtype);
  const auto before = db.cpu().to(at::kDouble);
  constexpr double kScale = 0.5, kBeta = 2;
  const auto mask = dropout_mask(p, RandomKey{static_cast<uint64_t>(tokens), 5});
  AdapterGradients call{.dtype = cuda_dtype(dy),
                        .grad_dtype = cuda_dtype(db),
                        .dy = dy.const_data_ptr(),
                        .xa = xa.const_data_ptr(),
                        .sb = sb.const_data_ptr(),
                        .dxa = dxa.mutable_data_ptr(),
                        .db = db.mutable_data_ptr(),
                        .tokens = tokens,
                        .extra = extra,
                        .step = step,
                        .rank = rank,
                        .b_rows = b_rows,
                        .dy_stride = columns,
                        .xa_stride = extra,
                        .sb_stride = extra,
                        .dxa_stride = extra,
                        .scale = kScale,
                        .beta = kBeta,
                        .mask = cuda_mask(mask),
                        .mask_columns = columns,
                        .pieces = static_cast<int>(count)};
  std::copy(pieces.begin(), pieces.end(), call.piece);
  const CudaLaunch on(dy);
  call.multiprocessors = on.multiprocessors();
  const int64_t room = cuda_table().adapter.workspace(call);
  ASSERT_GT(room, 0);
  const auto workspace = at::empty({room}, dy.options().dtype(at::kFloat));
  call.workspace = workspace.mutable_data_ptr<float>();
  on(cuda_table().adapter.gradients(call, on.stream()));

  const auto dy64 = drop(dy.cpu().to(at::kDouble), mask), xa64 = xa.cpu().to(at::kDouble),
             sb64 = sb.cpu().to(at::kDouble);
  auto dxa_truth = at::zeros({tokens, extra}, at::kDouble), db_truth = before * kBeta;
  for (int64_t j = 0; j < count; ++j) {
    const auto& piece = pieces[static_cast<size_t>(j)];
    const auto part = dy64.narrow(1, piece.begin, piece.rows);
    dxa_truth.narrow(1, j * step, step)
        .copy_(at::matmul(part, sb64.narrow(0, piece.begin, piece.rows).narrow(1, j * step, step)));
    db_truth.narrow(0, piece.b_begin, piece.rows).add_(at::matmul(part.t(), xa64.narrow(1, j * step, rank)), kScale);
  }
  // Sums are in fp32: one rounding to the dtype of the result.
  const double rounding = dtype == at::kHalf ? 1e-3 : 5e-3;
  EXPECT_TRUE(is_close(dxa.cpu(), dxa_truth, rounding));
  EXPECT_TRUE(is_close(db.cpu(), db_truth, fp32_grad ? 1e-5 : rounding));
}

TEST(AdapterGradientsOnGpu, EqualTheProductsForEveryRankAndShape) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "needs a GPU (tests/gpu/run)";
  require_cuda("AUTOMODEL_TEST_DEVICE");
  for (const auto dtype : {at::kBFloat16, at::kHalf})
    for (const int64_t rank : {1, 8, 16, 17, 32})
      for (const int64_t tokens : {1, 127, 129, 1100})
        for (const double p : {0.0, 0.3}) {
          check(tokens, rank, {{0, 136, 0}}, dtype, /*fp32_grad=*/rank != 8, p);
          check(tokens, rank, {{8, 8, 0}, {16, 128, 8}, {400, 264, 136}}, dtype, /*fp32_grad=*/rank != 17, p);
        }
}

// y of the kernel against the product in fp64 of the same rounded inputs; what no piece names must stay.
void check_dropped(int64_t tokens, int64_t rank, const std::vector<AdapterColumns>& pieces, at::ScalarType dtype,
                   double p) {
  SCOPED_TRACE(testing::Message() << tokens << " tokens, rank " << rank << ", " << pieces.size() << " pieces, " << dtype
                                  << ", dropout " << p);
  const int64_t step = (rank + 7) / 8 * 8, count = static_cast<int64_t>(pieces.size());
  const int64_t extra = (step * count + 63) / 64 * 64, columns = pieces.back().begin + pieces.back().rows + 8;
  const auto xa = random_tensor({tokens, extra}, 2, dtype);
  const auto y = random_tensor({tokens, columns}, 1, dtype), before = y.cpu().to(at::kDouble);
  auto sb = at::zeros({columns, extra}, y.options());
  for (int64_t j = 0; j < count; ++j) {
    const auto& piece = pieces[static_cast<size_t>(j)];
    sb.narrow(0, piece.begin, piece.rows)
        .narrow(1, j * step, rank)
        .copy_(random_tensor({piece.rows, rank}, 3 + static_cast<uint64_t>(j), dtype));
  }
  const auto mask = dropout_mask(p, RandomKey{static_cast<uint64_t>(rank)});
  cuda::DroppedAdapters call{.dtype = cuda_dtype(y),
                             .y = y.mutable_data_ptr(),
                             .xa = xa.const_data_ptr(),
                             .sb = sb.const_data_ptr(),
                             .tokens = tokens,
                             .extra = extra,
                             .step = step,
                             .y_stride = columns,
                             .xa_stride = extra,
                             .sb_stride = extra,
                             .mask = cuda_mask(mask),
                             .mask_columns = columns,
                             .pieces = static_cast<int>(count)};
  std::copy(pieces.begin(), pieces.end(), call.piece);
  const CudaLaunch on(y);
  ASSERT_TRUE(cuda_table().adapter.takes_dropped(call));
  on(cuda_table().adapter.add_dropped(call, on.stream()));
  const auto truth = before + drop(at::matmul(xa.cpu().to(at::kDouble), sb.cpu().to(at::kDouble).t()), mask);
  EXPECT_TRUE(is_close(y.cpu(), truth, dtype == at::kHalf ? 1e-3 : 5e-3));
  EXPECT_TRUE(y.cpu().narrow(1, columns - 8, 8).to(at::kDouble).equal(before.narrow(1, columns - 8, 8)));
}

TEST(DroppedAdaptersOnGpu, AddTheProductForEveryRankAndShape) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "needs a GPU (tests/gpu/run)";
  require_cuda("AUTOMODEL_TEST_DEVICE");
  for (const auto dtype : {at::kBFloat16, at::kHalf})
    for (const int64_t rank : {1, 8, 16, 17, 64})
      for (const int64_t tokens : {0, 1, 127, 129, 1100})
        for (const double p : {0.1, 0.8, 1.0}) {
          check_dropped(tokens, rank, {{0, 136, 0}}, dtype, p);
          check_dropped(tokens, rank, {{8, 8, 0}, {16, 128, 8}, {400, 264, 136}}, dtype, p);
        }
}

}  // namespace
}  // namespace automodel::kernels
