// The kernels alone, each product against fp64 on what the kernel itself rounded: nothing hides behind bf16's
// roundings.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "automodel/kernels/activation/activation.h"
#include "automodel/kernels/adapter/gated_adapter_cuda.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/dropout/dropout_gpu.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

struct Case {
  int64_t T, I, rank, rank_after;
  Activation f = Activation::Silu;
  at::ScalarType dtype = at::kBFloat16;
  bool fp32_grad = true;
  double dropout = 0;
};

int64_t step_of(int64_t rank) { return (rank + 7) / 8 * 8; }
at::Tensor wide(const at::Tensor& x) { return x.cpu().to(at::kDouble); }
at::Tensor workspace_of(int64_t room, const at::Tensor& x) { return at::empty({room}, x.options().dtype(at::kFloat)); }

// Columns of a wider tensor, so that strides are not widths.
struct Inside {
  at::Tensor all, part;
  Inside(int64_t rows, int64_t columns, uint64_t key, at::ScalarType dtype)
      : all(random_tensor({rows, columns + 24}, key, dtype)), part(all.narrow(1, 8, columns)) {}
};

void check_forward(const Case& c) {
  const Inside gate_up(c.T, 2 * c.I, 1, c.dtype), y(c.T, c.I, 2, c.dtype), xa(c.T, 64, 3, c.dtype);
  auto a = at::zeros({64, c.I}, gate_up.all.options());
  a.narrow(0, 0, c.rank).copy_(random_tensor({c.rank, c.I}, 4, c.dtype));
  cuda::GatedAdapterForward call{.dtype = cuda_dtype(a),
                                 .f = static_cast<int32_t>(c.f),
                                 .rows = c.T,
                                 .columns = c.I,
                                 .rank = c.rank,
                                 .extra = 64,
                                 .gate_up = gate_up.part.const_data_ptr(),
                                 .a = a.const_data_ptr(),
                                 .y = y.part.mutable_data_ptr(),
                                 .xa = xa.part.mutable_data_ptr(),
                                 .gate_up_stride = gate_up.part.stride(0),
                                 .a_stride = a.stride(0),
                                 .y_stride = y.part.stride(0),
                                 .xa_stride = xa.part.stride(0)};
  const CudaLaunch on(a);
  call.multiprocessors = on.multiprocessors();
  const int64_t room = cuda_table().gated_adapter.forward_workspace(call);
  ASSERT_GT(room, 0);
  const auto workspace = workspace_of(room, a);
  call.workspace = workspace.mutable_data_ptr<float>();
  on(cuda_table().gated_adapter.forward(call, on.stream()));
  const double rounding = c.dtype == at::kHalf ? 1e-3 : 5e-3;
  EXPECT_TRUE(is_close(y.part.cpu(), gated_activation_reference(wide(gate_up.part), c.f), rounding)) << "y";
  EXPECT_TRUE(is_close(xa.part.cpu(), wide(y.part).matmul(wide(a).t()), rounding)) << "xa";
  EXPECT_TRUE(y.all.narrow(1, c.I + 8, 16).equal(random_tensor({c.T, c.I + 24}, 2, c.dtype).narrow(1, c.I + 8, 16)))
      << "wrote behind y";
}

void check_backward(const Case& c) {
  const int64_t step = step_of(c.rank), extra = 64;
  const Inside gate_up(c.T, 2 * c.I, 1, c.dtype), dy(c.T, c.I, 2, c.dtype), xa(c.T, extra, 3, c.dtype),
      after(c.T, 64, 5, c.dtype), d(c.T, 2 * c.I, 6, c.dtype), dxa(c.T, extra, 7, c.dtype);
  const Inside sb(2 * c.I, extra, 4, c.dtype);
  const auto db = random_tensor({2 * c.I, c.rank}, 8, c.fp32_grad ? at::kFloat : c.dtype),
             da = random_tensor({c.rank_after, c.I}, 9, c.fp32_grad ? at::kFloat : c.dtype);
  const auto db_before = wide(db), da_before = wide(da);
  constexpr double kScale = 0.5, kBetaA = 2;
  const auto mask = dropout_mask(c.dropout, RandomKey{static_cast<uint64_t>(c.T)});
  cuda::GatedAdapterBackward call{.dtype = cuda_dtype(dy.all),
                                  .grad_dtype = cuda_dtype(db),
                                  .f = static_cast<int32_t>(c.f),
                                  .rows = c.T,
                                  .columns = c.I,
                                  .rank = c.rank,
                                  .rank_after = c.rank_after,
                                  .extra = extra,
                                  .step = step,
                                  .gate_up = gate_up.part.const_data_ptr(),
                                  .dy = dy.part.const_data_ptr(),
                                  .xa = xa.part.const_data_ptr(),
                                  .sb = sb.part.const_data_ptr(),
                                  .dxa_after = after.part.const_data_ptr(),
                                  .d_gate_up = d.part.mutable_data_ptr(),
                                  .dxa = dxa.part.mutable_data_ptr(),
                                  .db = db.mutable_data_ptr(),
                                  .da = da.mutable_data_ptr(),
                                  .gate_up_stride = gate_up.part.stride(0),
                                  .dy_stride = dy.part.stride(0),
                                  .xa_stride = xa.part.stride(0),
                                  .sb_stride = sb.part.stride(0),
                                  .dxa_after_stride = after.part.stride(0),
                                  .d_stride = d.part.stride(0),
                                  .dxa_stride = dxa.part.stride(0),
                                  .scale = kScale,
                                  .beta_b = 0,
                                  .beta_a = kBetaA,
                                  .mask = cuda_mask(mask)};
  const CudaLaunch on(dy.all);
  call.multiprocessors = on.multiprocessors();
  const int64_t room = cuda_table().gated_adapter.backward_workspace(call);
  ASSERT_GT(room, 0);
  const auto workspace = workspace_of(room, dy.all);
  call.workspace = workspace.mutable_data_ptr<float>();
  on(cuda_table().gated_adapter.backward(call, on.stream()));

  const auto leaf = wide(gate_up.part).requires_grad_();
  const auto y = gated_activation_reference(leaf, c.f);
  y.backward(wide(dy.part));
  const double rounding = c.dtype == at::kHalf ? 1e-3 : 5e-3, summed = c.fp32_grad ? 1e-5 : rounding;
  EXPECT_TRUE(is_close(d.part.cpu(), leaf.grad(), rounding)) << "gradients of gate and up";
  auto dxa_truth = at::zeros({c.T, extra}, at::kDouble);
  auto db_truth = at::zeros({2 * c.I, c.rank}, at::kDouble);
  const auto dropped = drop(wide(d.part).contiguous(), mask);
  for (int64_t j = 0; j < 2; ++j) {
    const auto part = dropped.narrow(1, j * c.I, c.I);
    dxa_truth.narrow(1, j * step, step)
        .copy_(part.matmul(wide(sb.part.narrow(0, j * c.I, c.I).narrow(1, j * step, step))));
    db_truth.narrow(0, j * c.I, c.I).copy_(part.t().matmul(wide(xa.part.narrow(1, j * step, c.rank))) * kScale);
  }
  EXPECT_TRUE(is_close(dxa.part.cpu(), dxa_truth, rounding)) << "dxa";
  EXPECT_TRUE(is_close(db.cpu(), db_truth, summed)) << "db";
  const auto rounded = wide(y.detach().to(c.dtype));
  const auto da_truth = da_before * kBetaA + wide(after.part.narrow(1, 0, c.rank_after)).t().matmul(rounded);
  // y is rounded from fp32, not from fp64: now and then to the other side.
  EXPECT_TRUE(is_close(da.cpu(), da_truth, c.fp32_grad ? 2e-4 : rounding)) << "da";
  EXPECT_TRUE(
      d.all.narrow(1, 2 * c.I + 8, 16).equal(random_tensor({c.T, 2 * c.I + 24}, 6, c.dtype).narrow(1, 2 * c.I + 8, 16)))
      << "wrote behind d_gate_up";
}

TEST(GatedAdapterOnGpu, EqualsTheFormulaForEveryRankAndShape) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "needs a GPU (tests/gpu/run)";
  require_cuda("AUTOMODEL_TEST_DEVICE");
  std::vector<Case> cases;
  for (const int64_t T : {1, 127, 129, 700})
    for (const int64_t I : {8, 72, 1000}) cases.push_back({T, I, T % 16 + 1, I % 3 * 8 + 1});
  for (auto c : std::vector<Case>{{1100, 712, 16, 16}, {513, 4104, 8, 16}, {4096, 264, 16, 3}})
    for (const auto f : {Activation::Silu, Activation::GeluTanh})
      for (const auto dtype : {at::kBFloat16, at::kHalf}) {
        c.f = f, c.dtype = dtype, c.fp32_grad = !c.fp32_grad;
        cases.push_back(c);
      }
  for (auto c : cases) {
    c.rank_after = std::min<int64_t>(c.rank_after, 16);
    SCOPED_TRACE(testing::Message() << "T " << c.T << " I " << c.I << " ranks " << c.rank << ", " << c.rank_after
                                    << " f " << static_cast<int>(c.f) << " " << c.dtype << " fp32 " << c.fp32_grad);
    check_forward(c);
    check_backward(c);
    c.dropout = 0.3;
    check_backward(c);
  }
}

}  // namespace
}  // namespace automodel::kernels
