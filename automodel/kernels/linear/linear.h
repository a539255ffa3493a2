// y = x W^T + b, with the weight's gradient handed to the parameter's sink.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/kernels/remade/remade.h"
#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// y = x W^T + b (+ residual)
///
/// x         [T, in]    float dtype, last dim contiguous
/// weight    [out, in]  dtype of x
/// bias      [out]      or nullptr
/// residual  [T, out]   dtype of x, or undefined; on a GPU it is added where the product is written
/// returns   [T, out]   dtype of x
/// Backward: dx = dy W; dW += dy^T x and db += sum(dy) go to the parameters' sinks in their grad_dtype, and only if
/// they are trained. x (or how to make it) is kept for the backward only if the weight is trained.
at::Tensor linear(const Remade& x, Parameter& weight, Parameter* bias, const at::Tensor& residual = {});

/// grad = beta * grad + alpha a^T b, accumulated in grad's dtype: what a weight gradient is. a [T, M], b [T, N], grad
/// [M, N]; on a GPU one product even where grad is wider than a and b.
void accumulate_outer(at::Tensor& grad, double beta, const at::Tensor& a, const at::Tensor& b, double alpha = 1);

}  // namespace automodel::kernels
