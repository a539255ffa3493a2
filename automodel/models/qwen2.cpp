// Qwen 2 and 2.5: Llama with biases on q, k and v, and a window in the upper layers if asked. Source: transformers
// Qwen2ForCausalLM.
#include "automodel/models/registry.h"

namespace automodel::models {

void apply_qwen_window(HfConfig& config, DecoderSpec& spec) {
  const bool use = config.boolean("use_sliding_window", false);
  const int64_t window = config.integer("sliding_window", 4096, kOptionalWindow),
                first = config.integer("max_window_layers", 28, kOptionalWindow);
  apply_sliding_window(config, spec, use ? window : 0, [&](int64_t i) { return use && i >= first; });
}

static DecoderSpec read(HfConfig& config) {
  auto spec = llama_like(config);
  config.require("use_mrope", false, "the positions of Qwen 2 have one axis");
  for (auto& layer : spec.layers) layer.attention.qkv.bias = true;
  apply_qwen_window(config, spec);
  return spec;
}

const Family kQwen2{"qwen2", {"Qwen2ForCausalLM"}, read, {}, {"*.rotary_emb.inv_freq"}};

}  // namespace automodel::models
