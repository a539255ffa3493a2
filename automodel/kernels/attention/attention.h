// Attention of packed documents.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "automodel/base/random.h"
#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// Who sees whom: document d holds queries [q_begin[d], q_begin[d+1]) and keys [k_begin[d], k_begin[d+1]); the last
/// query and the last key are the same token. Training: both borders are the batch's. With a cache the keys are longer.
struct AttentionPlan {
  std::vector<int64_t> q_begin, k_begin;
  int64_t window = 0;       // a query sees the last `window` keys, itself included; 0: all of them
  double scale = 1;         // of the scores
  double dropout = 0;       // of the probabilities
  RandomKey key{0};         // of the dropout
  int64_t row_padding = 0;  // a hint: spare elements after each token of the result, for a product that writes there
  at::Tensor borders;  // q_begin as [D + 1] int32 on the device of q, where the queries are the keys; may be undefined
  double softcap = 0;  // scores -> softcap * tanh(scores / softcap), before the mask; 0: none
  Parameter* sinks = nullptr;  // [Hq]: a score of each head that every query sees beside its keys, without a value
};

/// O = softmax(softcap(scale Q K^T) + causal mask within the document, sink) V, head by head; query head h reads key
/// head h / (Hq / Hkv)
///
/// q [Tq, Hq, D], k and v [Tk, Hkv, D], float dtype, contiguous or (on a GPU) parts of one packed tensor; returns [Tq,
/// Hq, D], dtype of q. Scores are computed in fp32 and kept for blocks of queries only: memory O(Tk) a thread. Keeps q,
/// k, v, O and the log-sum-exp. The sinks get their gradient where q, k or v want one. Deterministic: the result does
/// not depend on the number of threads (on a GPU: where libtorch's deterministic algorithms are on). A GPU takes the
/// fastest of what can (attention_gpu.h). source  Vaswani et al. 2017; equals transformers' sdpa for each document on
/// its own
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan);

/// The same by plain tensor operations, document by document.
at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const AttentionPlan& plan);

}  // namespace automodel::kernels
