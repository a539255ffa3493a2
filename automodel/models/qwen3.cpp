// Qwen 3 dense: Llama with a norm on each head's q and k. Source: transformers Qwen3ForCausalLM.
#include "automodel/models/registry.h"

namespace automodel::models {

static DecoderSpec read(HfConfig& given) {
  Json json = given.json();
  if (!json.contains("head_dim")) json["head_dim"] = 128;  // not hidden / heads
  HfConfig config(std::move(json), given.where());
  auto spec = llama_like(config);
  const bool bias = config.boolean("attention_bias", false);
  for (auto& layer : spec.layers) {
    layer.attention.qk_norm = layer.norm;
    layer.attention.qkv.bias = layer.attention.out.bias = bias;
  }
  apply_qwen_window(config, spec);
  given.adopt(config);
  return spec;
}

const Family kQwen3{"qwen3", {"Qwen3ForCausalLM"}, read, {}, {"*.rotary_emb.inv_freq"}};

}  // namespace automodel::models
