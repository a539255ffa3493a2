// The low-rank product of all adapters of one fused linear, added to the base product in place.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "automodel/kernels/remade/remade.h"
#include "automodel/tensor/parameter.h"

namespace automodel::peft {

struct LoraPiece {
  int64_t begin, rows;  // columns of y
  int64_t b_begin;      // rows of B
};

/// y[:, piece j] += scale * (x A_j^T) B_j^T for every j, in place; returns y
///
/// y [T, out], x [T, in], A [n r, in] (adapter j: rows [j r, (j + 1) r)), B [sum of rows, r]; one dtype.
/// One product with all of A, one a piece with B. Keeps x (or how to make it) and x A^T. Gradients of A and B go to
/// their sinks.
at::Tensor add_lora_product(const at::Tensor& y, const kernels::Remade& x, Parameter& a, Parameter& b, int64_t rank,
                            double scale, const std::vector<LoraPiece>& pieces);

}  // namespace automodel::peft
