// What the activations of one microbatch take, and what each choice of recomputation costs: arithmetic on shapes, for
// plans and for choosing. What is said here about the ops is what their autograd Functions keep (kernels/).
#pragma once

#include <cstdint>
#include <string>

#include "automodel/models/family.h"
#include "automodel/nn/model.h"

namespace automodel::models {

struct MicrobatchShape {
  int64_t tokens = 0;
  int64_t document_tokens = 0;  // of the longest document in it
};

struct ActivationMemory {
  uint64_t kept = 0;     // bytes that lie between forward and backward
  uint64_t passing = 0;  // the most that comes and goes on top: gradients of activations, a layer that runs again, a
                         // chunk of logits, workspace
  uint64_t total() const { return kept + passing; }
};

/// Of T tokens, in bytes of the dtype for each value. With H hidden, Q = heads * head dim, K the same of keys and
/// values together, I the MLP's width, G what its first product puts out (2 I if gated), a layer keeps, a token:
///
///   none       H + [H] + (Q + K) * (2 with norms of q and k, else 1) + Q + H + [H] + G + [I]
///              input, its norm, q k v, attention's output, residual, its norm, gate and up, activated
///   selective  the same without the three in [ ], which are there at all only where the product that reads one keeps
///              its input: for a trained weight or an adapter
///   full       H
///
/// and beside that 4 bytes a head, H for each norm after a half (Gemma), what the linears' ops keep of their own
/// (nn::LinearKeeps), scores of all pairs of tokens where no fused kernel takes attention (kernels::why_not_fused:
/// among others fp32 on a GPU, dropout of the probabilities); once, the rope tables and the last layer's output.
/// `model` tells what is trained and adapted; it needs no values. Plain tensor operations, which a CPU takes for bf16
/// and for exact GELU, keep more.
ActivationMemory activation_memory(const DecoderSpec& spec, const nn::Model& model, const MicrobatchShape& shape,
                                   nn::Recompute recompute);

/// Why a layer's attention keeps all pairs of tokens (kernels::why_not_fused); "": none does.
std::string why_pairs_are_kept(const DecoderSpec& spec, const nn::Model& model);

/// The time of a step as a multiple of what it takes with nothing run twice, documents of `document_tokens` tokens.
/// Products and attention count by their operations; what is bound by memory by its bytes, 150 operations each (an
/// H200 under its power limit: about 600 TFLOP/s, 4 TB/s), on a CPU 15.
double relative_step_time(const DecoderSpec& spec, const nn::Model& model, int64_t document_tokens,
                          nn::Recompute recompute);

}  // namespace automodel::models
