// Gradients of adapters in one pass over dy, and what they add to y where dropout keeps them out of its product, as the
// GPU library offers them.
#pragma once

#include "automodel/kernels/cuda/types.h"
#include "automodel/kernels/dropout/dropout_cuda.h"

namespace automodel::kernels::cuda {

/// Columns [begin, begin + rows) of dy belong to this adapter; its gradient of B begins at row b_begin.
struct AdapterColumns {
  int64_t begin, rows, b_begin;
};

/// With d = dy where there is no mask, else dy with the mask applied: for each piece j
/// dxa[:, j step + k] = sum over its columns n of d[:, n] sb[n, j step + k], and
/// db[b_begin + n, k] = beta db[...] + scale sum over t of d[t, begin + n] xa[t, j step + k], for k < rank.
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
  DropMask mask;         // element (t, n) of dy is t mask_columns + n of it
  int64_t mask_columns;  // a multiple of 8 if something is dropped
  int multiprocessors;
  int pieces;
  AdapterColumns piece[kMostPieces];
};

/// For each piece j: y[t, n] += m(t mask_columns + n) sum over k of xa[t, k] sb[n, k] for n in its columns, rounded
/// once; k runs over its ranks and, where those are no multiple of 16, over neighbours: sb must have zeros there.
///
/// y [T, .], xa [T, extra], sb [columns of y, extra] in `dtype` (bf16 or fp16), rows `..._stride` elements apart, extra
/// a multiple of 16. 16-byte aligned: y, xa, sb, their strides, and begin and rows of each piece.
struct DroppedAdapters {
  static constexpr int kMostPieces = AdapterGradients::kMostPieces;
  DType dtype;
  void* y;
  const void *xa, *sb;
  int64_t tokens, extra, step;
  int64_t y_stride, xa_stride, sb_stride;
  DropMask mask;
  int64_t mask_columns;  // a multiple of 8
  int pieces;
  AdapterColumns piece[kMostPieces];
};

struct Adapter {
  /// fp32 elements; 0: the kernel does not take this shape (rank above 32, too many pieces).
  int64_t (*workspace)(const AdapterGradients&);
  Status (*gradients)(const AdapterGradients&, Stream);
  bool (*takes_dropped)(const DroppedAdapters&);
  Status (*add_dropped)(const DroppedAdapters&, Stream);
};
extern const Adapter kAdapter;  // in the library

bool takes_dropped_adapters(const DroppedAdapters& a);
Status add_dropped_adapters(const DroppedAdapters& a, Stream stream);

}  // namespace automodel::kernels::cuda
