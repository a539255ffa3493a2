// RMSNorm and LayerNorm on the GPU; the backward adds the gradient of the residual stream.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// y = (x - m) * rstd * (weight + shift) + bias
///   m = center ? mean(x) : 0,  rstd = 1 / sqrt(mean((x - m)^2) + eps)
struct NormForward {
  DType dtype;  // of x, weight, bias, y
  int64_t rows, columns;
  const void* x;              // [rows, columns], rows x_stride apart
  const void *weight, *bias;  // [columns]; bias may be null
  void* y;                    // [rows, columns], rows y_stride apart
  float *mean, *rstd;         // [rows]; may be null (mean: if not center)
  int64_t x_stride, y_stride;
  float eps, shift;
  bool center;
};

/// dx = through + rstd * (g - c - n * mean(g n))
///   g = dy * (weight + shift),  n = (x - m) * rstd,  c = center ? mean(g) : 0
/// partial_weight[p] and partial_bias[p], p < partials, together are sum(dy n) and sum(dy): add them with ColumnSum.
/// The result depends on `partials` alone, not on timing.
struct NormBackward {
  DType dtype;  // of x, weight, dy, through, dx
  int64_t rows, columns;
  const void *x, *weight;                // x [rows, columns], rows x_stride apart
  const float *mean, *rstd;              // as the forward wrote them; mean only if center
  const void* dy;                        // [rows, columns], rows dy_stride apart
  const void* through;                   // gradient that reaches x on other ways, rows through_stride apart, or null
  void* dx;                              // rows dx_stride apart; may be `through`
  float *partial_weight, *partial_bias;  // [partials, columns] each, or null; written whole
  int64_t partials;                      // norm_partials() is a good number
  int64_t x_stride, dy_stride;
  float shift;
  bool center;
  int64_t through_stride = 0, dx_stride = 0;  // 0: columns
};

/// As many blocks as fit on the GPU at once.
inline int64_t norm_partials(int64_t rows, int64_t columns, int64_t multiprocessors) {
  const int64_t most = multiprocessors * (columns <= 2048 ? 4 : columns <= 4096 ? 3 : 2);
  return rows < 1 ? 1 : rows < most ? rows : most;
}

/// sum[c] = (add ? sum[c] : 0) + sum over p of partial[p, c], in a fixed order.
struct ColumnSum {
  const float* partial;  // [rows, columns]
  int64_t rows, columns;
  DType dtype;  // of sum
  void* sum;    // [columns]
  bool add;
};

struct Norm {
  Status (*forward)(const NormForward&, Stream);
  Status (*backward)(const NormBackward&, Stream);
  Status (*column_sum)(const ColumnSum&, Stream);
};
extern const Norm kNorm;  // in the library

}  // namespace automodel::kernels::cuda
