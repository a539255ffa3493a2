// GPT-2: LayerNorm, learned positions, plain GELU MLP, checkpoint weights transposed. Source: transformers
// GPT2LMHeadModel.
#include <cmath>

#include "automodel/base/error.h"
#include "automodel/models/registry.h"

namespace automodel::models {

static nn::LinearSpec conv1d(const std::string& module, int64_t in, int64_t out, Init init) {
  return {.modules = {module}, .rows = {out}, .in = in, .bias = true, .transposed = true, .init = init};
}

static DecoderSpec read(HfConfig& config) {
  const int64_t hidden = config.integer("n_embd", 768, kSize), layers = config.integer("n_layer", 12, kFew),
                heads = config.integer("n_head", 12, kFew), vocab = config.integer("vocab_size", 50257, kSize),
                positions = config.integer("n_positions", 1024, kSize),
                inner = config.integer("n_inner", 4 * hidden, kSize);
  if (hidden % heads != 0)
    throw ConfigError(config.where() + ": n_head",
                      fmt::format("expected a divisor of n_embd = {}, got {}", hidden, heads));
  config.integer("n_ctx", positions, kSize);
  config.integer("pad_token_id", -1, kAnyInteger);   // no padding row here
  config.boolean("reorder_and_upcast_attn", false);  // scores are in fp32 always
  const double range = config.number("initializer_range", 0.02, kDeviation);
  const Init init{Init::Kind::Normal, range},
      residual{Init::Kind::Normal, range / std::sqrt(2.0 * static_cast<double>(layers))};
  const nn::NormSpec norm{nn::NormSpec::Kind::Layer, config.number("layer_norm_epsilon", 1e-5, kEpsilon), false, true};
  const auto act = kernels::parse_activation(config.text("activation_function", "gelu_new"),
                                             config.where() + ": activation_function");
  const bool scaled = config.boolean("scale_attn_weights", true),
             by_layer = config.boolean("scale_attn_by_inverse_layer_idx", false);
  const int64_t D = hidden / heads;

  // Read before the aggregates below: g++ 12 destroys members twice when an initializer of theirs throws.
  const bool tied = config.boolean("tie_word_embeddings", true);
  const double embedding_dropout = config.number("embd_pdrop", 0.1, kDropout);
  DecoderSpec spec;
  spec.max_positions = positions;
  spec.embedding = {.module = "transformer.wte",
                    .vocab = vocab,
                    .hidden = hidden,
                    .position_module = "transformer.wpe",
                    .positions = positions,
                    .dropout = embedding_dropout,
                    .init = init};
  spec.head = {.norm_module = "transformer.ln_f",
               .norm = norm,
               .linear = {.modules = {"lm_head"}, .rows = {vocab}, .in = hidden, .init = init},
               .tied = tied};
  const double residual_dropout = config.number("resid_pdrop", 0.1, kDropout),
               attention_dropout = config.number("attn_pdrop", 0.1, kDropout);
  for (int64_t i = 0; i < layers; ++i) {
    const std::string at = fmt::format("transformer.h.{}", i);
    nn::LayerSpec layer{
        .module = at, .norm = norm, .attention_norm = "ln_1", .mlp_norm = "ln_2", .residual_dropout = residual_dropout};
    layer.attention = {
        .heads = heads,
        .kv_heads = heads,
        .head_dim = D,
        .scale = (scaled ? 1 / std::sqrt(static_cast<double>(D)) : 1.0) / (by_layer ? static_cast<double>(i + 1) : 1.0),
        .dropout = attention_dropout};
    layer.attention.qkv = conv1d(at + ".attn.c_attn", hidden, 3 * hidden, init);
    layer.attention.out = conv1d(at + ".attn.c_proj", hidden, hidden, residual);
    layer.mlp = {.activation = act,
                 .gated = false,
                 .in = conv1d(at + ".mlp.c_fc", hidden, inner, init),
                 .out = conv1d(at + ".mlp.c_proj", inner, hidden, residual)};
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

const Family kGpt2{"gpt2", {"GPT2LMHeadModel"}, read, {"transformer."}, {"*.attn.bias", "*.attn.masked_bias"}};

}  // namespace automodel::models
