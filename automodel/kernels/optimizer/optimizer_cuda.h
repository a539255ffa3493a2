// What an optimizer step needs on the GPU, over many tensors a launch: the norm of all gradients, AdamW, strided
// copies. Nothing is read back by the host: clipping and the decision to skip a step are taken on the device.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// What the norm leaves on the device for the update (and, a step later, for the log).
struct GradientStats {
  double square_sum;
  float norm;
  float factor;  // of the gradients: min(1, max_norm / (norm + 1e-6)), 1 without clipping, over the loss scale
  int32_t bad;   // 1 if the norm is not finite: the update then changes nothing
  int32_t unused;
};

struct NormTensor {
  const void* data;
  int64_t count;
  DType dtype;
};

/// stats = the norm of all tensors. Squares are summed in fp32 per thread and in fp64 beyond, in a fixed order.
/// `partial` has norm_partials(tensors, count) entries.
struct GradientNorm {
  const NormTensor* tensors;  // on the host
  int64_t count;
  double* partial;
  GradientStats* stats;
  float max_norm;           // max_norm <= 0: no clipping
  const float* loss_scale;  // on the device: the gradients are that many times what they stand for; null: 1
};
inline constexpr int64_t kNormChunk = 1 << 16;
inline int64_t norm_partials(const NormTensor* tensors, int64_t count) {
  int64_t partials = 0;
  for (int64_t i = 0; i < count; ++i) partials += (tensors[i].count + kNormChunk - 1) / kNormChunk;
  return partials;
}

/// Where the update is kept at full precision.
enum class Master : int32_t {
  None,        // the weight is all there is; rounded to nearest
  Full,        // `low` is an fp32 copy, the weight its rounding
  Split,       // bf16 only: `low` is int16, weight and low together are the fp32 value (rounding.h)
  Stochastic,  // bf16 only: no copy, rounded up or down by chance so that the mean is right; a bf16 v too (m needs it
               // not)
};

/// One tensor of an update. All pointers have `count` elements, contiguous.
struct AdamTensor {
  void* weight;
  void* low;  // see Master; else null
  const void* grad;
  void *m, *v, *v_max;  // v_max only for amsgrad
  const float* step;    // updates made so far; AdamW does not change it, AdamSteps does
  int64_t count;
  float lr, decay;  // of this tensor
  uint64_t key;     // of its random numbers: Chance::stream
};

/// torch.optim's AdamW (or Adam, if not decoupled) with g = grad * stats->factor; formulas in optim/adam.h.
struct AdamUpdate {
  const AdamTensor* tensors;  // on the host
  int64_t count;
  DType weight, grad, state;
  Master master;
  const GradientStats* stats;  // on the device; null: no clipping, nothing skipped
  uint64_t seed;               // of Master::Stochastic: an update's Chance::seed is this + its number, from 1
  double beta1, beta2;
  float eps;
  bool decoupled, maximize, amsgrad;
};

/// step += 1 for each of the tensors, unless stats->bad.
struct AdamSteps {
  float* const* steps;  // on the host
  int64_t count;
  const GradientStats* stats;
};

/// to = scale * from for matrices: adapters into the extra columns of a base weight, gradients out of them.
struct CopyTensor {
  const void* from;
  void* to;
  int64_t rows, columns, from_stride, to_stride;
  float scale;
};
struct CopyMatrices {
  const CopyTensor* tensors;  // on the host
  int64_t count;
  DType from, to;
};

struct Optimizer {
  Status (*norm)(const GradientNorm&, Stream);
  Status (*adam)(const AdamUpdate&, Stream);
  Status (*adam_steps)(const AdamSteps&, Stream);
  Status (*copy)(const CopyMatrices&, Stream);
};
extern const Optimizer kOptimizer;  // in the library

}  // namespace automodel::kernels::cuda
