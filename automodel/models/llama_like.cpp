#include "automodel/base/error.h"
#include "automodel/models/family.h"

namespace automodel::models {

static Init padded(Init init, HfConfig& config, int64_t vocab) {
  init.zero_row = config.integer("pad_token_id", -1, {-1, vocab - 1});
  return init;
}

DecoderSpec llama_like(HfConfig& config) {
  const int64_t hidden = config.integer("hidden_size", kSize), layers = config.integer("num_hidden_layers", kFew),
                heads = config.integer("num_attention_heads", kFew),
                kv_heads = config.integer("num_key_value_heads", heads, kFew),
                inner = config.integer("intermediate_size", kSize), vocab = config.integer("vocab_size", kSize),
                max_positions = config.integer("max_position_embeddings", 2048, kPositions);
  const int64_t D = config.integer("head_dim", hidden / heads, kFew);
  if (D == 0)
    throw ConfigError(config.where() + ": num_attention_heads",
                      fmt::format("expected at most hidden_size = {}, got {}", hidden, heads));
  if (heads % kv_heads != 0)
    throw ConfigError(config.where() + ": num_key_value_heads",
                      fmt::format("expected a divisor of num_attention_heads = {}, got {}", heads, kv_heads));
  const Init init{Init::Kind::Normal, config.number("initializer_range", 0.02, kDeviation)};
  const nn::NormSpec norm{nn::NormSpec::Kind::Rms, config.number("rms_norm_eps", 1e-6, kEpsilon)};
  const auto act = kernels::parse_activation(config.text("hidden_act", "silu"), config.where() + ": hidden_act");

  // Read before the aggregates below: g++ 12 destroys members twice when an initializer of theirs throws.
  const bool tied = config.boolean("tie_word_embeddings", false);
  const Init embedding_init = padded(init, config, vocab);
  DecoderSpec spec;
  spec.max_positions = max_positions;
  spec.embedding = {.module = "model.embed_tokens", .vocab = vocab, .hidden = hidden, .init = embedding_init};
  spec.head = {.norm_module = "model.norm",
               .norm = norm,
               .linear = {.modules = {"lm_head"}, .rows = {vocab}, .in = hidden, .init = init},
               .tied = tied};
  const auto rope = read_rope(config, D);
  const double dropout = config.number("attention_dropout", 0, kDropout);
  for (int64_t i = 0; i < layers; ++i) {
    const std::string at = fmt::format("model.layers.{}", i), self = at + ".self_attn.", mlp = at + ".mlp.";
    nn::LayerSpec layer{
        .module = at, .norm = norm, .attention_norm = "input_layernorm", .mlp_norm = "post_attention_layernorm"};
    layer.attention = {.heads = heads,
                       .kv_heads = kv_heads,
                       .head_dim = D,
                       .scale = 1 / std::sqrt(static_cast<double>(D)),
                       .dropout = dropout,
                       .rope = rope};
    layer.attention.qkv = {.modules = {self + "q_proj", self + "k_proj", self + "v_proj"},
                           .rows = {heads * D, kv_heads * D, kv_heads * D},
                           .in = hidden,
                           .init = init};
    layer.attention.out = {.modules = {self + "o_proj"}, .rows = {hidden}, .in = heads * D, .init = init};
    layer.attention.q_norm_module = self + "q_norm", layer.attention.k_norm_module = self + "k_norm";
    layer.mlp = {
        .activation = act,
        .gated = true,
        .in = {.modules = {mlp + "gate_proj", mlp + "up_proj"}, .rows = {inner, inner}, .in = hidden, .init = init},
        .out = {.modules = {mlp + "down_proj"}, .rows = {hidden}, .in = inner, .init = init}};
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

void apply_sliding_window(HfConfig& config, DecoderSpec& spec, int64_t window,
                          const std::function<bool(int64_t)>& is_sliding) {
  const auto types = config.texts("layer_types");
  if (!types.empty() && types.size() != spec.layers.size())
    throw ConfigError(config.where() + ": layer_types",
                      fmt::format("expected {} entries, one a layer, got {}", spec.layers.size(), types.size()));
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (!types.empty() && types[i] != "sliding_attention" && types[i] != "full_attention")
      throw UnsupportedError(config.where() + ": layer_types",
                             fmt::format("'{}' is not known; expected full_attention or sliding_attention", types[i]));
    const bool sliding = types.empty() ? is_sliding(static_cast<int64_t>(i)) : types[i] == "sliding_attention";
    if (sliding && window <= 0)
      throw ConfigError(config.where() + ": sliding_window",
                        fmt::format("expected a positive integer, since layers slide, got {}", window));
    spec.layers[i].attention.window = sliding ? window : 0;
  }
}

}  // namespace automodel::models
