// From the fused projection to what attention takes: split, per-head norm, rotary position embedding.
#pragma once

#include <ATen/core/Tensor.h>

#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// Rotation angles of every token, [T, R / 2] fp32 each; R <= head dim is the rotated part. Undefined: no rotation.
struct RopeTable {
  at::Tensor cos, sin;
};

/// Per-head norm of queries and keys (weights [D]); null pointers: none.
struct QkNorm {
  Parameter* q = nullptr;
  Parameter* k = nullptr;
  double eps = 1e-6;
  bool plus_one = false;
};

struct QkvHeads {
  int64_t q_heads, kv_heads, head_dim;
};

struct Qkv {
  at::Tensor q, k, v;  // [T, heads, D]; contiguous on the CPU, on a GPU the parts of one packed [T, (q + 2 kv) D]
};

/// Splits qkv into heads, norms q and k, rotates them:
///   q' = rope(norm(q)),  k' = rope(norm(k)),  v' = v
///   rope: (a, b) -> (a cos - b sin, b cos + a sin) on the halves a = x[:R/2], b = x[R/2:R]; x[R:] passes through
///
/// qkv [T, (q_heads + 2 kv_heads) D]: all query heads, then keys, then values; float dtype, contiguous.
/// Keeps qkv for the backward only if there is a norm. Source: transformers apply_rotary_pos_emb (Llama),
/// Qwen3Attention.
Qkv split_qkv(const at::Tensor& qkv, QkvHeads heads, const QkNorm& norm, const RopeTable& rope);

/// The same for a qkv that nobody looks at again: without a norm, a GPU rotates it where it lies.
Qkv split_qkv_in_place(const at::Tensor& qkv, QkvHeads heads, const QkNorm& norm, const RopeTable& rope);

/// The same by plain tensor operations.
Qkv split_qkv_reference(const at::Tensor& qkv, QkvHeads heads, const QkNorm& norm, const RopeTable& rope);

}  // namespace automodel::kernels
