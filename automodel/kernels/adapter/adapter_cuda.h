// Gradients of adapters in one pass over dy, as the GPU library offers it.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// Columns [begin, begin + rows) of dy belong to this adapter; its gradient of B begins at row b_begin.
struct AdapterColumns {
  int64_t begin, rows, b_begin;
};

/// For each piece j: dxa[:, j step + k] = sum over its columns n of dy[:, n] sb[n, j step + k], and
/// db[b_begin + n, k] = beta db[...] + scale sum over t of dy[t, begin + n] xa[t, j step + k], for k < rank.
///
/// dy [T, .], xa [T, extra], sb [columns of dy, extra] and dxa [T, extra] in `dtype` (bf16 or fp16), rows `..._stride`
/// elements apart; db [b_rows, rank] contiguous, in grad_dtype. All of dxa's columns are written, with zeros where no
/// piece is. dy is read once; sums are in fp32 and in a fixed order. 16-byte aligned: dy, xa, sb, their strides, and
/// begin and rows of each piece.
struct AdapterGradients {
  static constexpr int kMostPieces = 8;
  DType dtype, grad_dtype;
  const void *dy, *xa, *sb;
  void *dxa, *db;
  float* workspace;  // adapter_workspace(...) elements
  int64_t tokens, extra, step, rank, b_rows;
  int64_t dy_stride, xa_stride, sb_stride, dxa_stride;
  float scale, beta;
  int multiprocessors;
  int pieces;
  AdapterColumns piece[kMostPieces];
};

struct Adapter {
  /// fp32 elements; 0: the kernel does not take this shape (rank above 32, too many pieces).
  int64_t (*workspace)(const AdapterGradients&);
  Status (*gradients)(const AdapterGradients&, Stream);
};
extern const Adapter kAdapter;  // in the library

}  // namespace automodel::kernels::cuda
