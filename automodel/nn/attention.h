// Attention: fused projection, per-head norms, rotation, attention within documents, output projection.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "automodel/kernels/attention/attention.h"
#include "automodel/nn/linear.h"
#include "automodel/nn/norm.h"
#include "automodel/nn/rope.h"

namespace automodel::nn {

struct AttentionSpec {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  double scale = 1;              // of the scores
  double softcap = 0;            // scores -> softcap * tanh(scores / softcap); 0: none
  int64_t window = 0;            // keys a query sees, itself included; 0: all
  double dropout = 0;            // of the probabilities, in training
  std::optional<RopeSpec> rope;  // nothing: positions are not rotated
  std::optional<NormSpec> qk_norm;
  LinearSpec qkv, out;
  std::string q_norm_module, k_norm_module;
};

/// The slot for what computes softmax(QK^T)V: the CPU kernel here; cudnn, flash, ring in its place elsewhere.
struct AttentionCore {
  virtual ~AttentionCore() = default;
  /// q [Tq, Hq, D], k and v [Tk, Hkv, D] -> [Tq, Hq, D]
  virtual at::Tensor forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const kernels::AttentionPlan& plan) = 0;
};

class Attention {
 public:
  Attention(const AttentionSpec& spec, int64_t layer, at::ScalarType dtype);
  /// x [T, H] -> [T, H], added to the residual if there is one. With context.cache the new keys and values are appended
  /// to this layer's.
  at::Tensor forward(const kernels::Remade& x, const Batch& batch, Context& context, const at::Tensor& residual = {});
  int64_t input_padding() const { return qkv_.op->input_padding(); }
  void collect(std::vector<ParameterPtr>& out) const;
  void collect_linears(std::vector<Linear*>& out);

  std::unique_ptr<AttentionCore> core;

 private:
  AttentionSpec spec_;
  int64_t layer_;
  Linear qkv_, out_;
  std::unique_ptr<Norm> q_norm_, k_norm_;
};

}  // namespace automodel::nn
