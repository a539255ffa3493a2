// Cross entropy over rows of logits on the GPU, with the gradient in the logits' place.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// Per row x = softcap(logit_scale * logits):
///   loss = (1 - s) (lse - x[label]) + s (lse - mean(x)) + z lse^2,   lse = log sum exp x
/// and, if `gradient`, logits becomes d (scale * factor * loss) / d logits. Rows whose label is `ignore` have loss and
/// gradient 0; a label outside [0, columns) gives NaN. Everything is computed in fp32.
struct SoftmaxLoss {
  DType dtype;  // of logits
  int64_t rows, columns;
  void* logits;  // [rows, columns], rows `stride` apart
  int64_t stride;
  const int64_t* labels;  // [rows]
  float* loss;            // [rows], not scaled
  float* lse;             // [rows], or null
  int64_t ignore;
  float scale, softcap, logit_scale, smoothing, z_loss;  // softcap 0: none
  bool gradient;
  const float* factor;  // on the device; null: 1
};

struct CrossEntropy {
  Status (*softmax_loss)(const SoftmaxLoss&, Stream);
};
extern const CrossEntropy kCrossEntropy;  // in the library

}  // namespace automodel::kernels::cuda
