// Mistral 7B, Nemo, Small: Llama with a sliding window in every layer. Source: transformers MistralForCausalLM.
#include "automodel/models/registry.h"

namespace automodel::models {

static DecoderSpec read(HfConfig& config) {
  auto spec = llama_like(config);
  const bool said = config.json().contains("sliding_window");
  const int64_t window = said ? config.integer("sliding_window", 0, kPositions) : 4096;
  for (auto& layer : spec.layers) layer.attention.window = window;
  return spec;
}

const Family kMistral{"mistral", {"MistralForCausalLM"}, read, {}, {"*.rotary_emb.inv_freq"}};

}  // namespace automodel::models
