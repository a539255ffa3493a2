// The kernel alone, without the products around it: compute-sanitizer's racecheck cannot follow cuBLAS.
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

constexpr int64_t kIgnore = -100;

struct Options {
  double scale = 1, softcap = 0, logit_scale = 1, smoothing = 0, z_loss = 0;
};

// In fp64 on the CPU: losses [rows], and `logits` gets the gradient of scale times their sum.
at::Tensor plain_losses(const at::Tensor& logits, const std::vector<int64_t>& labels, const Options& o) {
  auto x = logits * o.logit_scale;
  if (o.softcap > 0) x = at::tanh(x / o.softcap) * o.softcap;
  const auto lse = at::logsumexp(x, 1);
  std::vector<at::Tensor> losses;
  for (size_t r = 0; r < labels.size(); ++r) {
    const auto row = static_cast<int64_t>(r);
    if (labels[r] == kIgnore) {
      losses.push_back(logits[row].sum() * 0);
      continue;
    }
    losses.push_back((1 - o.smoothing) * (lse[row] - x[row][labels[r]]) + o.smoothing * (lse[row] - x[row].mean()) +
                     o.z_loss * lse[row] * lse[row]);
    (losses.back() * o.scale).backward({}, /*retain_graph=*/true);
  }
  return losses.empty() ? at::zeros({0}, at::kDouble) : at::stack(losses).detach();
}

TEST(SoftmaxLossOnGpu, EqualsTheFormulaForEveryOptionTypeAndShape) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "needs a GPU (tests/gpu/run)";
  require_cuda("AUTOMODEL_TEST_DEVICE");
  const std::vector<Options> all = {{},
                                    {.scale = 0.25, .logit_scale = 0.5},
                                    {.softcap = 3},
                                    {.smoothing = 0.1, .z_loss = 1e-2},
                                    {.scale = 2, .softcap = 5, .logit_scale = 2, .smoothing = 0.05, .z_loss = 1e-3}};
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const int64_t rows : {0, 1, 9})
      for (const int64_t columns : {1, 7, 512, 4099, 33000})
        for (const auto& o : all) {
          SCOPED_TRACE(testing::Message() << dtype << " " << rows << " x " << columns << " softcap " << o.softcap);
          auto logits = random_tensor({rows, columns}, 5, dtype).mul(4);
          const auto truth = logits.cpu().to(at::kDouble).requires_grad_();
          std::vector<int64_t> labels(static_cast<size_t>(rows));
          for (size_t r = 0; r < labels.size(); ++r)
            labels[r] = r % 4 == 3 ? kIgnore : static_cast<int64_t>(r * 7919) % columns;
          const auto labels_there = at::tensor(labels, at::kLong).to(logits.device());
          auto losses = at::full({rows}, 77.0, logits.options().dtype(at::kFloat));
          const CudaLaunch on(logits);
          on(cuda_table().cross_entropy.softmax_loss({.dtype = cuda_dtype(logits),
                                                      .rows = rows,
                                                      .columns = columns,
                                                      .logits = logits.mutable_data_ptr(),
                                                      .stride = columns,
                                                      .labels = labels_there.const_data_ptr<int64_t>(),
                                                      .loss = losses.mutable_data_ptr<float>(),
                                                      .lse = nullptr,
                                                      .ignore = kIgnore,
                                                      .scale = static_cast<float>(o.scale),
                                                      .softcap = static_cast<float>(o.softcap),
                                                      .logit_scale = static_cast<float>(o.logit_scale),
                                                      .smoothing = static_cast<float>(o.smoothing),
                                                      .z_loss = static_cast<float>(o.z_loss),
                                                      .gradient = true,
                                                      .factor = nullptr},
                                                     on.stream()));
          EXPECT_TRUE(is_close(losses.cpu(), plain_losses(truth, labels, o), 1e-4));
          // One rounding of the gradient to its dtype, and fp32's fast exponential.
          const double bound = dtype == at::kFloat ? 1e-4 : dtype == at::kHalf ? 1e-3 : 5e-3;
          if (rows > 0) EXPECT_TRUE(is_close(logits.cpu(), truth.grad(), bound));
        }
}

}  // namespace
}  // namespace automodel::kernels
