// The blocks of a decoder: embedding, layers, head.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "automodel/kernels/cross_entropy/linear_cross_entropy.h"
#include "automodel/nn/attention.h"
#include "automodel/nn/block.h"
#include "automodel/nn/mlp.h"
#include "automodel/nn/norm.h"

namespace automodel::nn {

struct EmbeddingSpec {
  std::string module;  // "model.embed_tokens"
  int64_t vocab = 0, hidden = 0;
  double scale = 1;             // Gemma multiplies by sqrt(hidden)
  std::string position_module;  // learned positions ("transformer.wpe"), or empty
  int64_t positions = 0;
  double dropout = 0;
  Init init;
};

/// hidden[t] = scale * E[ids[t]] (+ P[positions[t]])
class Embedding : public Block {
 public:
  Embedding(const EmbeddingSpec& spec, at::ScalarType dtype);
  Flow forward(Flow flow, const Batch& batch, Context& context) override;
  void collect(std::vector<ParameterPtr>& out) const override;
  const ParameterPtr& weight() const { return weight_; }
  const EmbeddingSpec& spec() const { return spec_; }

 private:
  EmbeddingSpec spec_;
  ParameterPtr weight_, positions_;
};

struct LayerSpec {
  std::string module;  // "model.layers.0"
  AttentionSpec attention;
  MlpSpec mlp;
  NormSpec norm;
  std::string attention_norm, mlp_norm;            // before each half: "input_layernorm", "post_attention_layernorm"
  std::string post_attention_norm, post_mlp_norm;  // after each half, before the residual add (Gemma); empty: none
  double residual_dropout = 0;
};

/// h += post(attention(norm(h)));  h += post(mlp(norm(h)))
class DecoderLayer : public Block {
 public:
  DecoderLayer(const LayerSpec& spec, int64_t index, int64_t hidden, at::ScalarType dtype);
  Flow forward(Flow flow, const Batch& batch, Context& context) override;
  void collect(std::vector<ParameterPtr>& out) const override;
  void collect_linears(std::vector<Linear*>& out) override;

 private:
  LayerSpec spec_;
  int64_t index_;
  Norm attention_norm_, mlp_norm_;
  std::unique_ptr<Norm> post_attention_norm_, post_mlp_norm_;
  Attention attention_;
  Mlp mlp_;
};

struct HeadSpec {
  std::string norm_module;  // "model.norm"
  NormSpec norm;
  LinearSpec linear;  // its weight is borrowed from the embedding when tied
  bool tied = false;
  double softcap = 0;  // of the logits
  double logit_scale = 1;
};

/// Final norm, output projection and loss. forward() adds the loss to the flow and never forms the full logits.
class Head : public Block {
 public:
  /// `tied` is the embedding's weight when spec.tied, else null.
  Head(const HeadSpec& spec, int64_t hidden, ParameterPtr tied, at::ScalarType dtype);
  Flow forward(Flow flow, const Batch& batch, Context& context) override;
  void collect(std::vector<ParameterPtr>& out) const override;
  void collect_linears(std::vector<Linear*>& out) override;

  /// [rows, V] fp32, without gradient; hidden [rows, H] as the last layer put it out.
  at::Tensor logits(const at::Tensor& hidden);
  /// log p of each label, [T] fp32, without gradient.
  at::Tensor log_probs(const at::Tensor& hidden, const at::Tensor& labels);

  kernels::HeadLoss loss = kernels::linear_cross_entropy;

 private:
  kernels::CrossEntropyOptions options() const { return {spec_.softcap, spec_.logit_scale}; }
  Parameter& weight() const { return *linear_.op->view().weight; }
  Parameter* bias() const { return linear_.op->view().bias; }

  HeadSpec spec_;
  Norm norm_;
  Linear linear_;
};

}  // namespace automodel::nn
