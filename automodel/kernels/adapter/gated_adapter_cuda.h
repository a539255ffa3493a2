// A gated activation between two linears with adapters, together with the thin products over the data it reads and
// writes, as the GPU library offers it.
#pragma once

#include "automodel/kernels/cuda/types.h"
#include "automodel/kernels/dropout/dropout_cuda.h"

namespace automodel::kernels::cuda {

/// y = f(gate) * up, rounded once, and xa = y A^T, in one pass.
struct GatedAdapterForward {
  DType dtype;  // BFloat16 or Half
  int32_t f;    // the value of kernels::Activation
  int64_t rows, columns, rank, extra;
  const void* gate_up;  // [rows, 2 columns], the gate first
  const void* a;        // [at least 16, columns], zeros in rows from `rank` on
  void* y;              // [rows, columns]
  void* xa;             // [rows, extra], zeros in columns from `rank` on
  float* workspace;     // of the size that forward_workspace() says
  int64_t gate_up_stride, a_stride, y_stride, xa_stride;
  int multiprocessors;
};

/// Its backward, and the small gradients of the adapters on both sides, in one pass over gate, up and dy:
///
///   d_gate = dy up f'(gate), d_up = dy f(gate), y = f(gate) up   each rounded once
///   dxa = [m d_gate sB_gate | m d_up sB_up]                      what the adapters before the activation want
///   db  = beta_b db + scale [m d_gate^T xa_gate ; m d_up^T xa_up]
///   da  = beta_a da + dxa_after^T y                              of the adapter behind it
///
/// m: the mask, of elements of [rows, 2 columns].
struct GatedAdapterBackward {
  DType dtype, grad_dtype;  // of db and da: Float, or dtype
  int32_t f;
  int64_t rows, columns, rank, rank_after, extra;
  int64_t step;              // columns of xa and dxa from the gate's adapter to that of up
  const void *gate_up, *dy;  // [rows, 2 columns], [rows, columns]
  const void* xa;            // [rows, extra]: the input of gate and up times their A^T
  const void* sb;            // [2 columns, extra]: s B_gate in the first `step` columns, s B_up in the next
  const void* dxa_after;     // [rows, at least rank_after rounded up to 8]
  void *d_gate_up, *dxa;     // as gate_up and xa
  void *db, *da;             // [2 columns, rank], [rank_after, columns], contiguous
  float* workspace;          // of the size that backward_workspace() says
  int64_t gate_up_stride, dy_stride, xa_stride, sb_stride, dxa_after_stride, d_stride, dxa_stride;
  float scale, beta_b, beta_a;
  DropMask mask;
  int multiprocessors;
};

/// Sums are in fp32 and in a fixed order. Everything 16-byte aligned, strides and columns multiples of 8.
struct GatedAdapter {
  /// fp32 elements; 0: the kernel does not take it (a rank above 16, fp32, another function than silu and tanh-gelu, a
  /// GPU with little shared memory).
  int64_t (*forward_workspace)(const GatedAdapterForward&);
  int64_t (*backward_workspace)(const GatedAdapterBackward&);
  Status (*forward)(const GatedAdapterForward&, Stream);
  Status (*backward)(const GatedAdapterBackward&, Stream);
};
extern const GatedAdapter kGatedAdapter;  // in the library

}  // namespace automodel::kernels::cuda
