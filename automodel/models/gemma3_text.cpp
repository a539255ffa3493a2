// Gemma 3, text: norms of 1 + w before and after each half, q/k norms, five windowed layers for each full one, two
// rotary bases, scaled embeddings. Source: transformers Gemma3ForCausalLM.
#include <cmath>

#include "automodel/base/error.h"
#include "automodel/models/registry.h"

namespace automodel::models {

// What Gemma3TextConfig fills in where config.json is silent and Llama's defaults differ.
static void fill_defaults(Json& json) {
  const std::pair<const char*, Json> defaults[] = {{"hidden_size", 2304},
                                                   {"num_hidden_layers", 26},
                                                   {"num_attention_heads", 8},
                                                   {"num_key_value_heads", 4},
                                                   {"head_dim", 256},
                                                   {"intermediate_size", 9216},
                                                   {"vocab_size", 262208},
                                                   {"max_position_embeddings", 131072},
                                                   {"tie_word_embeddings", true},
                                                   {"rms_norm_eps", 1e-6},
                                                   {"pad_token_id", 0}};
  for (const auto& [key, value] : defaults)
    if (!json.contains(key)) json[key] = value;
}

static DecoderSpec read(HfConfig& given) {
  Json json = given.json();
  fill_defaults(json);
  const std::string activation = given.text("hidden_activation", "gelu_pytorch_tanh");
  json["hidden_act"] = activation;
  Json plain = json;  // Llama's reader knows one rope only
  plain.erase("rope_parameters"), plain.erase("rope_scaling");
  HfConfig config(plain, given.where());
  auto spec = llama_like(config);
  const double scalar = given.number("query_pre_attn_scalar", 256, kFactor);
  const bool bias = given.boolean("attention_bias", false);
  given.require("attn_logit_softcapping", nullptr, "Gemma 3 caps no attention scores");
  given.require("use_bidirectional_attention", false, "decoders see the past only");
  spec.head.softcap = given.number("final_logit_softcapping", 0, kFactor);
  spec.head.norm.plus_one = true;
  spec.embedding.scale = std::sqrt(static_cast<double>(spec.embedding.hidden));

  const int64_t window = given.integer("sliding_window", 4096, kPositions),
                period =
                    given.integer("sliding_window_pattern", given.integer("_sliding_window_pattern", 6, kFew), kFew);
  apply_sliding_window(given, spec, window, [&](int64_t i) { return (i + 1) % period != 0; });
  const int64_t D = spec.layers.at(0).attention.head_dim;
  const double local_theta = given.number("rope_local_base_freq", 10000, kBase);
  const auto global = read_rope(given, D, 1000000, "full_attention");
  // rope_theta is the global base: the local one has a key of its own.
  Json local_json = json;
  local_json["rope_theta"] = local_theta;
  HfConfig local_config(local_json, given.where());
  const auto local = read_rope(local_config, D, 10000, "sliding_attention");
  for (auto& layer : spec.layers) {
    layer.norm.plus_one = true;
    layer.attention.qk_norm = layer.norm;
    layer.attention.scale = 1 / std::sqrt(scalar);
    layer.attention.rope = layer.attention.window > 0 ? local : global;
    layer.attention.qkv.bias = layer.attention.out.bias = bias;
    layer.post_attention_norm = "post_attention_layernorm";
    layer.mlp_norm = "pre_feedforward_layernorm";
    layer.post_mlp_norm = "post_feedforward_layernorm";
  }
  given.adopt(config);
  return spec;
}

const Family kGemma3Text{"gemma3_text", {"Gemma3ForCausalLM"}, read, {}, {"*.rotary_emb.inv_freq"}};

}  // namespace automodel::models
