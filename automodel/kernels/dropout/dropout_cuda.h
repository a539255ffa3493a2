// Dropout by a key, as tensor/dropout.h has it.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// Element i of a tensor is dropped if half i % 8 of Philox-4x32-10(key, counter i / 8) is below `threshold`, and
/// multiplied by `kept` otherwise. source Salmon et al. 2011
struct DropMask {
  uint64_t key = 0;
  uint32_t threshold = 0;  // p 2^16; 0: nothing is dropped
  float kept = 1;          // 1 / (1 - p)
};

/// y = x with the mask applied, `kept` rounded to the dtype first. Contiguous, `count` elements.
struct DropoutCall {
  DType dtype;
  int64_t count;
  const void* x;
  void* y;
  DropMask mask;
};

struct Dropout {
  Status (*forward)(const DropoutCall&, Stream);
};
extern const Dropout kDropout;  // in the library

}  // namespace automodel::kernels::cuda
