// Llama 2 to 3.3. Source: transformers LlamaForCausalLM.
#include "automodel/models/registry.h"

namespace automodel::models {

static DecoderSpec read(HfConfig& config) {
  auto spec = llama_like(config);
  const bool attention_bias = config.boolean("attention_bias", false), mlp_bias = config.boolean("mlp_bias", false);
  for (auto& layer : spec.layers) {
    layer.attention.qkv.bias = layer.attention.out.bias = attention_bias;
    layer.mlp.in.bias = layer.mlp.out.bias = mlp_bias;
  }
  return spec;
}

const Family kLlama{"llama", {"LlamaForCausalLM"}, read, {}, {"*.rotary_emb.inv_freq"}};

}  // namespace automodel::models
