// Gated activations (SwiGLU, GeGLU, ...) on the GPU.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// y = f(gate) * up, computed in fp32 and rounded once.
struct GatedForward {
  DType dtype;
  int32_t f;  // the value of kernels::Activation
  int64_t rows, columns;
  const void* gate_up;  // [rows, 2 columns], the gate first, rows gate_up_stride apart
  void* y;              // [rows, columns], rows y_stride apart
  int64_t gate_up_stride, y_stride;
};

/// d_gate = dy * up * f'(gate), d_up = dy * f(gate); y is written again where it was not kept.
struct GatedBackward {
  DType dtype;
  int32_t f;
  int64_t rows, columns;
  const void *gate_up, *dy;
  void* d_gate_up;  // as gate_up; may be gate_up itself
  void* y;          // null: not wanted
  int64_t gate_up_stride, dy_stride, d_stride, y_stride;
};

struct Gated {
  Status (*forward)(const GatedForward&, Stream);
  Status (*backward)(const GatedBackward&, Stream);
};
extern const Gated kGated;  // in the library

}  // namespace automodel::kernels::cuda
