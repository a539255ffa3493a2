// What training costs, in floating-point operations of the matrix products; recomputation earns nothing.
#pragma once

#include <cstdint>

#include "automodel/models/family.h"

namespace automodel::models {

/// Operations a token of documents of `document_tokens` tokens:
///   all weights trained    6 N + A     (forward 2 N, gradients of inputs 2 N, of weights 2 N)
///   adapters only          4 N + A     (the frozen weights have no gradient; the adapters' own products are not
///   counted)
/// N = parameters of the products: q, k, v, o, the MLP, and the head, counted once also when tied; neither the
/// embedding nor norms. A = 12 * heads * head_dim * K summed over layers, K = keys that a query sees on average: half
/// the document, less under a sliding window.
double training_flops_per_token(const DecoderSpec& spec, int64_t document_tokens, bool adapters_only);

/// Operations a token of the layers' forward, without the head: what recomputation of whole layers adds.
double layers_forward_flops_per_token(const DecoderSpec& spec, int64_t document_tokens);

}  // namespace automodel::models
