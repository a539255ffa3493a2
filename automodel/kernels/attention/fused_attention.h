// Which attention a fused kernel takes, and what the plain operations take of memory that compute the rest. Known from
// shapes, so that what runs and what is planned for follow one rule.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

namespace automodel::kernels {

/// Attention of training, where queries are the keys.
struct AttentionKind {
  at::DeviceType device;
  at::ScalarType dtype;
  int64_t heads, head_dim;  // of the queries
  double dropout = 0;       // of the probabilities
  double softcap = 0;       // of the scores; 0: none
};

/// Why attention_reference() computes it; "": a fused kernel does. A GPU's take bf16 and fp16, no dropout, head dims
/// that are a multiple of 8 up to 256, and capped scores by cuDNN only; the CPU's fp32, bf16 and fp16 and no dropout.
/// What only cuDNN can tell of a shape counts as taken.
std::string why_not_fused(const AttentionKind& kind);

struct ReferenceMemory {
  uint64_t kept = 0;     // bytes for the backward, beside q, k, v and O
  uint64_t passing = 0;  // the most on top of it, in forward or backward
};

/// What attention_reference() takes of T tokens in documents of n each, e bytes a value: for every pair of tokens of a
/// document a byte (mask), and in every head 4 bytes (softmax in fp32), e under a cap (tanh), and e where probabilities
/// are rounded or dropped; keys and values repeated for all heads. It works document by document: scores and their
/// gradient, in fp32, come and go for one at a time.
ReferenceMemory reference_memory(const AttentionKind& kind, int64_t tokens, int64_t document_tokens);

}  // namespace automodel::kernels
