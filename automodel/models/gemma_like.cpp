#include <cmath>

#include "automodel/models/family.h"

namespace automodel::models {

DecoderSpec gemma_like(HfConfig& config) {
  auto spec = llama_like(config);
  const double scale = 1 / std::sqrt(config.number("query_pre_attn_scalar", 256, kFactor));
  const bool bias = config.boolean("attention_bias", false);
  config.require("use_bidirectional_attention", false, "decoders see the past only");
  spec.embedding.scale = std::sqrt(static_cast<double>(spec.embedding.hidden));
  spec.head.norm.plus_one = true;
  for (auto& layer : spec.layers) {
    layer.norm.plus_one = true;
    layer.attention.scale = scale;
    layer.attention.qkv.bias = layer.attention.out.bias = bias;
    layer.post_attention_norm = "post_attention_layernorm";
    layer.mlp_norm = "pre_feedforward_layernorm";
    layer.post_mlp_norm = "post_feedforward_layernorm";
  }
  return spec;
}

Json with_gemma_defaults(HfConfig& given, const Json& more) {
  Json json = given.json();
  const Json defaults = {{"hidden_size", 2304},         {"num_hidden_layers", 26}, {"num_attention_heads", 8},
                         {"num_key_value_heads", 4},    {"head_dim", 256},         {"intermediate_size", 9216},
                         {"tie_word_embeddings", true}, {"rms_norm_eps", 1e-6},    {"pad_token_id", 0}};
  for (const auto& [key, value] : defaults.items())
    if (!json.contains(key)) json[key] = value;
  for (const auto& [key, value] : more.items())
    if (!json.contains(key)) json[key] = value;
  json["hidden_act"] = given.text("hidden_activation", "gelu_pytorch_tanh");
  return json;
}

}  // namespace automodel::models
