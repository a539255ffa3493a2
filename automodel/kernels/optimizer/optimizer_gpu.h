// The optimizer's kernels over tensors: norms of all gradients and updates of all weights in a few launches, without
// the host waiting for anything.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "automodel/kernels/optimizer/optimizer_cuda.h"

namespace automodel::kernels {

/// What the gradients of a step amount to, on their device.
struct GradientSums {
  at::Tensor stats;    // a GradientStats as bytes: square sum, norm, clipping factor, whether it is not finite
  at::Tensor partial;  // square sums of the gradients' pieces, fp64: they stay when the gradients are gone
};

/// All tensors contiguous, fp32, bf16 or fp16, on one device. The gradients are `loss_scale` (0-dim fp32 there) times
/// what they stand for; undefined: 1.
GradientSums sum_gradients(const std::vector<at::Tensor>& gradients, double max_norm,
                           const at::Tensor& loss_scale = {});

/// The norm in the stats, 0-dim fp64 on the device.
at::Tensor norm_of(const at::Tensor& stats);

/// Which of the gradients, as their shapes cut `partial`, is the first that is not finite; their number if none. Waits
/// for the stream.
size_t first_bad_tensor(const std::vector<at::Tensor>& gradients, const at::Tensor& partial);

/// One weight with its states; undefined where the rule keeps none. All contiguous, of one shape; step is 0-dim fp32.
struct AdamItem {
  at::Tensor weight, low, grad, m, v, v_max, step;
  double lr, decay;
  uint64_t key;  // tells the random numbers of weights apart
};

struct AdamRule {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  bool decoupled = true, maximize = false, amsgrad = false;
  cuda::Master master = cuda::Master::None;  // of weights of less than fp32
  uint64_t seed = 0;
};

/// One update of every item and step += 1; nothing of either where stats says that the gradients are bad. `stats` may
/// be undefined: no clipping, no check. Source: torch.optim.AdamW, Adam.
void adam_update(const std::vector<AdamItem>& items, const AdamRule& rule, const at::Tensor& stats);

/// Whether adam_update takes these dtypes together.
bool has_adam_update(at::ScalarType weight, at::ScalarType grad, at::ScalarType state, cuda::Master master);

}  // namespace automodel::kernels
