// Attention of packed documents on a GPU: what attention() calls for CUDA tensors.
#pragma once

#include <string>

#include "automodel/kernels/attention/attention.h"

namespace automodel::kernels {

/// What computes it, the fastest first. `reason` says what kept a faster one away; empty: nothing did.
struct AttentionChoice {
  enum class Way { Cudnn, Flash, Reference } way;
  std::string reason;
};
/// Both take what why_not_fused() says. cuDNN wants queries that are the keys; flash (libtorch's FlashAttention 2) no
/// cap of the scores, but takes more keys than queries. cuDNN is 1.3 to 2 times as fast on an H200, for every head dim
/// and window.
AttentionChoice choose_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 const AttentionPlan& plan);

/// attention() by the chosen way. What makes it slow is said once in the log.
at::Tensor attention_gpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan);

/// By cuDNN. Differentiable; keeps q, k, v, O, the log-sum-exp and the documents' offsets. q, k and v may be the parts
/// of one packed tensor: dq, dk and dv are then the parts of one, rows equally far apart. Host cost 15-30 us. REQUIRES
/// that choose_attention could take it.
at::Tensor attention_cudnn(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan);

/// By libtorch's flash attention. Differentiable, keeps the same.
at::Tensor attention_flash(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan);

/// Whether cuDNN has programs for it, forward and backward; else `reason` says why not.
bool has_attention_cudnn(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan,
                         std::string& reason);

}  // namespace automodel::kernels
