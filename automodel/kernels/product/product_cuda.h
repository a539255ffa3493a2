// Matrix products through cuBLASLt, as the GPU library offers them.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// A matrix in memory: rows `stride` elements apart, or columns if `transposed`.
struct Matrix {
  const void* data;
  int64_t stride;
  bool transposed;
};

/// D [m, n] = alpha A [m, k] B [k, n] + beta C [m, n], summed in fp32.
struct ProductCall {
  DType type;  // of A and B
  DType out;   // of C and D: the same or Float
  int64_t m, n, k;
  Matrix a, b;
  const void* c;  // rows c_stride apart; may be d; null: beta is 0
  void* d;        // rows d_stride apart
  int64_t c_stride, d_stride;
  float alpha, beta;
  void* workspace;  // 256-byte aligned
  int64_t workspace_bytes;
  int choice;  // which of cuBLASLt's candidates, 0 its first
};

/// All null in a library that was built without cuBLASLt's header. A returned text says what went wrong, null: nothing.
struct Product {
  /// Candidates there are for a call, at most 8.
  int (*choices)(const ProductCall&);
  const char* (*run)(const ProductCall&, Stream);
};
extern const Product kProduct;  // in the library

}  // namespace automodel::kernels::cuda
