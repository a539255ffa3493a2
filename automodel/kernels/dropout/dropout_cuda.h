// Dropout by a key, as tensor/dropout.h has it.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// y[i] = x[i] * (word i % 4 of Philox-4x32-10(key, counter i / 4) < threshold ? 0 : kept), kept rounded to the dtype
/// first. Contiguous, `count` elements. source Salmon et al. 2011
struct DropoutCall {
  DType dtype;
  int64_t count;
  const void* x;
  void* y;
  uint64_t key;
  uint64_t threshold;  // p 2^32
  float kept;
};

struct Dropout {
  Status (*forward)(const DropoutCall&, Stream);
};
extern const Dropout kDropout;  // in the library

}  // namespace automodel::kernels::cuda
