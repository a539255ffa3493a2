// Per-head norm and rotary position embedding of the fused projection, on the GPU.
#pragma once

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

/// Heads of one of q, k, v: [tokens, heads, head_dim], tokens `stride` elements apart.
struct Heads {
  void* data;
  int64_t stride;
};

/// q' = rope(norm(q)), k' = rope(norm(k)), v' = v, in fp32, rounded once. Formulas in qkv.h.
struct QkvForward {
  DType dtype;  // of all but cos and sin
  int64_t tokens, q_heads, kv_heads, head_dim;
  int64_t rotated;  // R, even, <= head_dim; 0: no rotation
  const void* qkv;  // [tokens, (q_heads + 2 kv_heads) head_dim], tokens qkv_stride apart
  int64_t qkv_stride;
  Heads q, k, v;                    // may be the same places of qkv itself; v is then left alone
  const float *cos, *sin;           // [tokens, R / 2]
  const void *q_weight, *k_weight;  // [head_dim], null: no norm
  float eps, shift;                 // norm: x / sqrt(mean(x^2) + eps) * (weight + shift)
};

/// The gradient of qkv from those of q', k', v'. partial_q and partial_k as in NormBackward (norm_cuda.h).
struct QkvBackward {
  DType dtype;
  int64_t tokens, q_heads, kv_heads, head_dim, rotated;
  const void* qkv;  // as the forward read it; may be null without norms
  int64_t qkv_stride;
  Heads dq, dk, dv;  // read only
  void* d_qkv;       // rows d_stride apart; dq, dk, dv may be its places
  int64_t d_stride;
  const float *cos, *sin;
  const void *q_weight, *k_weight;
  float *partial_q, *partial_k;  // [partials, head_dim] each, or null; written whole
  int64_t partials;
  float eps, shift;
};

struct SplitQkv {
  Status (*forward)(const QkvForward&, Stream);
  Status (*backward)(const QkvBackward&, Stream);
};
extern const SplitQkv kSplitQkv;  // in the library

}  // namespace automodel::kernels::cuda
