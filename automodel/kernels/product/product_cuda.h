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
  bool first;  // cuBLASLt's own choice, whatever tests said: the same in every run of the program
};

/// All null in a library that was built without cuBLASLt's header. A returned text says what went wrong, null: nothing.
struct Product {
  /// By the fastest algorithm that test() found for products of about this shape; without a test by cuBLASLt's own
  /// choice.
  const char* (*run)(const ProductCall&, Stream);
  /// Whether test() has seen products of about this shape: m, n and k rounded up to quarters of powers of two.
  bool (*tested)(const ProductCall&);
  /// Times every candidate and remembers the fastest. Writes d many times, waits for the stream; some 30 runs.
  const char* (*test)(const ProductCall&, Stream);
  const char* headers;  // "cuBLAS 13.1.0": what it was compiled with
};
extern const Product kProduct;  // in the library

}  // namespace automodel::kernels::cuda
