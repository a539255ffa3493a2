// An MLP whose two linears have adapters, as one function.
#pragma once

#include "automodel/kernels/activation/activation.h"
#include "automodel/kernels/adapter/adapted_linear.h"

namespace automodel::kernels {

/// Whether adapted_mlp() is for them: adapters of rank 16 at most on gate, up and down, all trained over frozen
/// weights, silu or tanh-gelu, in 16 bits on a GPU with 212 KiB of shared memory a block (Hopper). Of a GPU that is not
/// here the last is taken for granted.
bool has_adapted_mlp(const AdapterStorage& gate_up, const AdapterStorage& down, Activation f, at::Device device);

/// Dropout behind the adapters of both linears (see adapted_linear).
struct MlpDropout {
  DropoutMask gate_up, down;
};

/// y = down(f(gate) * up) (+ residual) with [gate, up] = gate_up(x), each linear as adapted_linear
///
/// x [T, H], y and residual [T, H'], one dtype. Equals adapted_linear, gated_activation and adapted_linear one after
/// the other. On a GPU one pass makes the activation and its product with down's A, and in the backward one pass makes
/// the gradients of gate and up, dxa and dB of their adapters and dA of down's. So nothing of the activation is kept:
/// x (or how to make it), gate and up, and both x A^T are. Elsewhere it goes by plain products.
/// REQUIRES of both what has_adapted_mlp asks for but the device, the dtype and the function; refreshed storages.
at::Tensor adapted_mlp(const Remade& x, AdapterStorage& gate_up, AdapterStorage& down, Activation f,
                       const at::Tensor& residual = {}, const MlpDropout& dropout = {});

}  // namespace automodel::kernels
