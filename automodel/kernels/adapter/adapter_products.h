// The products of linears with adapters, one by one: what adapted_linear and adapted_mlp are made of. No autograd.
#pragma once

#include "automodel/kernels/adapter/adapted_linear.h"

namespace automodel::kernels {

/// out = a b (+ c); c may be out. On a GPU by product_gpu().
void multiply_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c = {});

struct AdaptedForward {
  at::Tensor y;   // [T, out], with room of extra() behind its rows
  at::Tensor x;   // the input, or a copy of it with that room
  at::Tensor xa;  // x A^T [T, extra], in the room behind x
};
/// The whole forward of adapted_linear.
AdaptedForward adapted_forward(const at::Tensor& x, const AdapterStorage& storage, Parameter* bias,
                               const at::Tensor& residual, const DropoutMask& dropout);

/// y = [x | x A^T] [W | s B]^T + residual, with x A^T already in the room behind x; with dropout the two halves one
/// after the other.
at::Tensor adapted_product(const at::Tensor& x, const AdapterStorage& storage, const at::Tensor& residual,
                           const DropoutMask& dropout);

/// [T, extra] for dxa = s dy B: the room behind dy if it has one of that size, else a tensor of its own.
at::Tensor room_for_dxa(const AdapterStorage& storage, const at::Tensor& dy);

/// dxa = s d B with d = dy after dropout, and B's gradient into its sink; on a GPU both from one reading of dy.
/// xa = x A^T [T, extra].
void add_b_grad(const AdapterStorage& storage, const at::Tensor& xa, const at::Tensor& dy, at::Tensor dxa,
                const DropoutMask& dropout);

/// A's gradient dxa^T x into its sink.
void add_a_grad(const AdapterStorage& storage, const at::Tensor& x, const at::Tensor& dxa);

/// dx = [dy | dxa] [W; A], one product where dxa lies behind dy. `padding`: room behind the rows of dx.
at::Tensor adapted_input_gradient(const AdapterStorage& storage, const at::Tensor& dy, const at::Tensor& dxa,
                                  int64_t padding);

/// A mask among an autograd function's saved data, and back.
void keep_mask(torch::autograd::AutogradContext* ctx, const std::string& name, const DropoutMask& mask);
DropoutMask kept_mask(torch::autograd::AutogradContext* ctx, const std::string& name);

}  // namespace automodel::kernels
