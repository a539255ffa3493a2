// Gemma 3, text: norms of 1 + w before and after each half, q/k norms, five windowed layers for each full one, two
// rotary bases, scaled embeddings. Source: transformers Gemma3ForCausalLM.
#include "automodel/models/registry.h"

namespace automodel::models {

static DecoderSpec read(HfConfig& given) {
  const Json json = with_gemma_defaults(given, {{"vocab_size", 262208}, {"max_position_embeddings", 131072}});
  Json plain = json;  // Llama's reader knows one rope only
  plain.erase("rope_parameters"), plain.erase("rope_scaling");
  HfConfig config(plain, given.where());
  auto spec = gemma_like(config);
  given.require("attn_logit_softcapping", nullptr, "Gemma 3 caps no attention scores");
  spec.head.softcap = given.number("final_logit_softcapping", 0, kFactor);

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
    layer.attention.qk_norm = layer.norm;
    layer.attention.rope = layer.attention.window > 0 ? local : global;
  }
  given.adopt(config);
  return spec;
}

const Family kGemma3Text{"gemma3_text", {"Gemma3ForCausalLM"}, read, {}, {"*.rotary_emb.inv_freq"}};

}  // namespace automodel::models
