// Attention of packed documents through cuDNN, as the GPU library offers it.
#pragma once

#include <compare>

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// What a program is made for. Packed: up to `documents` documents of at most `longest` tokens, `tokens` together at
/// most; the borders come with each call. Dense: exactly `documents` documents of `longest` tokens.
struct AttentionShape {
  DType dtype;  // BFloat16 or Half
  bool backward, dense, deterministic;
  bool wide;  // offsets are int64: where tokens * row does not fit 31 bits
  int64_t documents, longest, tokens;
  int64_t q_heads, kv_heads, head_dim;
  int64_t window;                      // keys a query sees, itself included; 0: all
  int64_t q_row, k_row, v_row, o_row;  // elements between tokens; dq, dk, dv lie as q, k, v, and do as o
  float scale;
  float softcap;  // of the scores; 0: none
  auto operator<=>(const AttentionShape&) const = default;
};

/// A compiled cuDNN graph, kept until the process ends.
struct AttentionProgram;

/// Writes what a packed program needs to know of the documents, from borders [count + 1] on the device.
/// `out` holds attention_offsets_bytes(shape): the lengths of documents, then where their rows of q, k, v, o and of
/// the statistics begin.
struct AttentionOffsets {
  const AttentionShape* shape;
  const int32_t* borders;
  int64_t count;  // documents there are, <= shape.documents
  void* out;
};

/// q [tokens, q_heads, D], k and v [tokens, kv_heads, D], o as q. Statistics are the log-sum-exp, fp32: packed [tokens,
/// q_heads], dense [documents, q_heads, longest].
struct AttentionBuffers {
  const void *q, *k, *v;
  void* o;            // written by the forward, read by the backward
  float* statistics;  // the same
  const void* d_o;    // backward only, as are the next three
  void *dq, *dk, *dv;
  const void* offsets;  // packed only
  void* workspace;      // of the program's size
};

/// All null in a library that was built without cuDNN's headers. A returned text says what went wrong, null: nothing.
struct Attention {
  /// Finds the program or builds it: 85 ms, 1.7 s the first. Null where cuDNN cannot, and `*reason` says why; both
  /// answers are remembered. For the current device.
  const AttentionProgram* (*program)(const AttentionShape&, int64_t* workspace_bytes, const char** reason);
  const char* (*run)(const AttentionProgram*, const AttentionBuffers&, Stream);
  Status (*offsets)(const AttentionOffsets&, Stream);
  const char* headers;  // "cuDNN 9.19.0, cuDNN's front end 1.32.0": what it was compiled with
};
extern const Attention kAttention;  // in the library

/// Elements from one array of offsets to the next, so that each is aligned.
inline int64_t attention_offsets_step(const AttentionShape& shape) { return (shape.documents + 64) / 64 * 64; }
inline int64_t attention_offsets_bytes(const AttentionShape& shape) {
  return attention_offsets_step(shape) * (4 + 5 * (shape.wide ? 8 : 4));
}

}  // namespace automodel::kernels::cuda
