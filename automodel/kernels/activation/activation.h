// The nonlinearities of the MLPs, plain and gated.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace automodel::kernels {

enum class Activation { Silu, Gelu, GeluTanh, Relu, ReluSquared };

/// The activation of a Hugging Face name ("silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "relu2", ...).
/// Throws UnsupportedError naming the key and the names known.
Activation parse_activation(const std::string& name, const std::string& key);

/// y = f(gate) * up
///
/// gate_up [T, 2 I]  the gate's columns first; float dtype, contiguous (on a GPU rows may have gaps between them)
/// returns [T, I]    dtype of gate_up; f is computed in fp32. On a GPU each row has `padding` spare elements behind it
///                   (linear/padded.h), and the gradient of gate_up as many as gate_up
/// Keeps gate_up for the backward, nothing else.
/// source  Shazeer 2020, arXiv:2002.05202; LlamaMLP, Gemma3MLP
at::Tensor gated_activation(const at::Tensor& gate_up, Activation f, int64_t padding);
at::Tensor gated_activation(const at::Tensor& gate_up, Activation f);

/// y = f(x), elementwise.
at::Tensor activation(const at::Tensor& x, Activation f);

/// gated_activation by plain tensor operations.
at::Tensor gated_activation_reference(const at::Tensor& gate_up, Activation f);

}  // namespace automodel::kernels
