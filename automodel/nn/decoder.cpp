#include "automodel/nn/decoder.h"

#include "automodel/base/error.h"
#include "automodel/kernels/embedding/embedding.h"
#include "automodel/tensor/dropout.h"

namespace automodel::nn {

// What dropout keys are made of: every place in a block draws from its own stream.
enum Place : uint64_t { kEmbeddingDropout = 2, kAttentionDropout = 3, kMlpDropout = 4 };

Embedding::Embedding(const EmbeddingSpec& spec, at::ScalarType dtype) : Block(spec.module), spec_(spec) {
  weight_ = std::make_shared<Parameter>(spec.module + ".weight", std::vector<int64_t>{spec.vocab, spec.hidden}, dtype,
                                        spec.init);
  if (!spec.position_module.empty())
    positions_ = std::make_shared<Parameter>(spec.position_module + ".weight",
                                             std::vector<int64_t>{spec.positions, spec.hidden}, dtype, spec.init);
}

Flow Embedding::forward(Flow flow, const Batch& batch, Context& context) {
  flow.hidden = kernels::embedding(batch.ids, *weight_, spec_.scale, spec_.init.zero_row);
  if (positions_) {
    const int64_t longest = (context.cache ? context.cache->length : 0) + batch.longest();
    if (longest > spec_.positions)
      throw DataError("document",
                      fmt::format("has {} tokens, the model has learned positions for {}", longest, spec_.positions),
                      "shorten the documents (dataset.seq_length)");
    flow.hidden = flow.hidden + kernels::embedding(batch.positions, *positions_);
  }
  if (context.training) flow.hidden = dropout(flow.hidden, spec_.dropout, context.key.with(kEmbeddingDropout));
  return flow;
}

void Embedding::collect(std::vector<ParameterPtr>& out) const {
  out.push_back(weight_);
  if (positions_) out.push_back(positions_);
}

static std::unique_ptr<Norm> optional_norm(const LayerSpec& spec, const std::string& name, int64_t hidden,
                                           at::ScalarType dtype) {
  return name.empty() ? nullptr : std::make_unique<Norm>(spec.norm, spec.module + "." + name, hidden, dtype);
}

DecoderLayer::DecoderLayer(const LayerSpec& spec, int64_t index, int64_t hidden, at::ScalarType dtype)
    : Block(spec.module),
      spec_(spec),
      index_(index),
      attention_norm_(spec.norm, spec.module + "." + spec.attention_norm, hidden, dtype),
      mlp_norm_(spec.norm, spec.module + "." + spec.mlp_norm, hidden, dtype),
      post_attention_norm_(optional_norm(spec, spec.post_attention_norm, hidden, dtype)),
      post_mlp_norm_(optional_norm(spec, spec.post_mlp_norm, hidden, dtype)),
      attention_(spec.attention, index, dtype),
      mlp_(spec.mlp, dtype) {}

Flow DecoderLayer::forward(Flow flow, const Batch& batch, Context& context) {
  const auto key = context.key.with(static_cast<uint64_t>(index_));
  const double p = context.training ? spec_.residual_dropout : 0;

  // Nothing between the half's last product and the residual: the product adds it.
  const bool plain_attention = !post_attention_norm_ && p == 0, plain_mlp = !post_mlp_norm_ && p == 0;

  const auto first = attention_norm_.pass(flow.hidden, attention_.input_padding(), context);
  auto x = attention_.forward(first.y, batch, context, plain_attention ? first.h : at::Tensor());
  if (post_attention_norm_) x = post_attention_norm_->forward(x);
  const auto middle = plain_attention ? x : first.h + dropout(x, p, key.with(kAttentionDropout));

  const auto second = mlp_norm_.pass(middle, mlp_.input_padding(), context);
  x = mlp_.forward(second.y, context, plain_mlp ? second.h : at::Tensor());
  if (post_mlp_norm_) x = post_mlp_norm_->forward(x);
  flow.hidden = plain_mlp ? x : second.h + dropout(x, p, key.with(kMlpDropout));
  return flow;
}

void DecoderLayer::collect(std::vector<ParameterPtr>& out) const {
  attention_norm_.collect(out);
  attention_.collect(out);
  if (post_attention_norm_) post_attention_norm_->collect(out);
  mlp_norm_.collect(out);
  mlp_.collect(out);
  if (post_mlp_norm_) post_mlp_norm_->collect(out);
}

void DecoderLayer::collect_linears(std::vector<Linear*>& out) {
  attention_.collect_linears(out);
  mlp_.collect_linears(out);
}

Head::Head(const HeadSpec& spec, int64_t hidden, ParameterPtr tied, at::ScalarType dtype)
    : Block(spec.linear.modules.at(0)),
      spec_(spec),
      norm_(spec.norm, spec.norm_module, hidden, dtype),
      linear_(spec.linear, dtype) {
  if (spec.tied) linear_.op = std::make_unique<Dense>(std::move(tied), nullptr);
}

Flow Head::forward(Flow flow, const Batch& batch, Context& context) {
  const auto normal = norm_.forward(flow.hidden);
  auto how = options();
  how.trained_tokens = batch.trained_tokens;
  flow.losses.push_back({"cross_entropy", loss(normal, weight(), bias(), batch.labels, context.loss_scale, how)});
  return flow;
}

at::Tensor Head::logits(const at::Tensor& hidden) {
  at::NoGradGuard guard;
  return kernels::head_logits(norm_.forward(hidden), weight(), bias(), options());
}

at::Tensor Head::log_probs(const at::Tensor& hidden, const at::Tensor& labels) {
  at::NoGradGuard guard;
  return kernels::token_log_probs(norm_.forward(hidden), weight(), bias(), labels, options());
}

void Head::collect(std::vector<ParameterPtr>& out) const {
  norm_.collect(out);
  linear_.op->collect(out);
}

void Head::collect_linears(std::vector<Linear*>& out) { out.push_back(&linear_); }

}  // namespace automodel::nn
