// A small decoder for tests, of the same blocks as the families: random weights of a size at which everything shows.
// Included by tests only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "automodel/nn/model.h"
#include "automodel/tensor/testing.h"

namespace automodel::nn {

struct ToyOptions {
  int64_t layers = 3, hidden = 16, vocab = 31, heads = 4, kv_heads = 2, head_dim = 6, inner = 24;
  int64_t window = 0;  // of every second layer
  bool tied = false, bias = false, qk_norm = true, plus_one = false;
  double dropout = 0;            // of attention and residuals
  std::optional<RopeSpec> rope;  // nothing: the default one
  float scale = 0.35f;           // weights are uniform in +- scale
  at::Device device = test_device();
};

inline LayerSpec toy_layer(const ToyOptions& o, int64_t index) {
  const std::string at = "model.layers." + std::to_string(index), self = at + ".self_attn.", mlp = at + ".mlp.";
  const NormSpec norm{NormSpec::Kind::Rms, 1e-6, o.plus_one};
  LayerSpec layer{.module = at,
                  .norm = norm,
                  .attention_norm = "input_layernorm",
                  .mlp_norm = "post_attention_layernorm",
                  .residual_dropout = o.dropout};
  layer.attention = {.heads = o.heads,
                     .kv_heads = o.kv_heads,
                     .head_dim = o.head_dim,
                     .scale = 0.5,
                     .window = index % 2 ? o.window : 0,
                     .dropout = o.dropout,
                     .rope = o.rope.value_or(RopeSpec{.dim = o.head_dim})};
  if (o.qk_norm) layer.attention.qk_norm = norm;
  layer.attention.qkv = {.modules = {self + "q_proj", self + "k_proj", self + "v_proj"},
                         .rows = {o.heads * o.head_dim, o.kv_heads * o.head_dim, o.kv_heads * o.head_dim},
                         .in = o.hidden,
                         .bias = o.bias};
  layer.attention.out = {.modules = {self + "o_proj"}, .rows = {o.hidden}, .in = o.heads * o.head_dim, .bias = o.bias};
  layer.attention.q_norm_module = self + "q_norm", layer.attention.k_norm_module = self + "k_norm";
  layer.mlp = {.in = {.modules = {mlp + "gate_proj", mlp + "up_proj"},
                      .rows = {o.inner, o.inner},
                      .in = o.hidden,
                      .bias = o.bias},
               .out = {.modules = {mlp + "down_proj"}, .rows = {o.hidden}, .in = o.inner, .bias = o.bias}};
  return layer;
}

/// Values of every parameter that has none: uniform in +- scale, by its place in the list.
inline void fill_toy(Model& model, float scale) {
  uint64_t key = 1000;
  for (const auto& parameter : model.parameters()) {
    ++key;
    if (!parameter->has_value())
      parameter->set_value((random_tensor(parameter->shape(), key) * scale).to(model.device, parameter->dtype()));
  }
}

inline std::unique_ptr<Model> make_toy_model(const ToyOptions& o = {}, at::ScalarType dtype = at::kFloat) {
  auto model = std::make_unique<Model>();
  model->device = o.device;
  model->embedding = std::make_unique<Embedding>(
      EmbeddingSpec{.module = "model.embed_tokens", .vocab = o.vocab, .hidden = o.hidden}, dtype);
  for (int64_t i = 0; i < o.layers; ++i)
    model->layers.push_back(std::make_unique<DecoderLayer>(toy_layer(o, i), i, o.hidden, dtype));
  const HeadSpec head{.norm_module = "model.norm",
                      .norm = {NormSpec::Kind::Rms, 1e-6, o.plus_one},
                      .linear = {.modules = {"lm_head"}, .rows = {o.vocab}, .in = o.hidden},
                      .tied = o.tied};
  model->head = std::make_unique<Head>(head, o.hidden, o.tied ? model->embedding->weight() : nullptr, dtype);
  fill_toy(*model, o.scale);
  return model;
}

/// Blocks this small only lose on several threads, most of all on a busy machine.
inline const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

/// Documents of these lengths with ids spread over the vocabulary; every fifth label is not trained.
inline Batch toy_batch(const std::vector<int64_t>& lengths, int64_t vocab = 31, at::Device device = test_device()) {
  std::vector<std::vector<int32_t>> ids, labels;
  int64_t next = 3;
  for (const int64_t length : lengths) {
    ids.emplace_back(), labels.emplace_back();
    for (int64_t t = 0; t < length; ++t, next += 7) {
      ids.back().push_back(static_cast<int32_t>(next % vocab));
      labels.back().push_back(next % 5 == 0 ? -100 : static_cast<int32_t>((next * 3 + 1) % vocab));
    }
  }
  return make_batch(ids, labels).to(device);
}

/// `n` tokens of a batch from `begin` on, as one document of their own.
inline Batch part_of(const Batch& batch, int64_t begin, int64_t n) {
  Batch part{.ids = batch.ids.narrow(0, begin, n),
             .labels = batch.labels.narrow(0, begin, n),
             .positions = batch.positions.narrow(0, begin, n),
             .cu_seqlens = {0, n}};
  part.trained_tokens = part.labels.ne(kIgnoreLabel).sum().item<int64_t>();
  return part;
}

}  // namespace automodel::nn
