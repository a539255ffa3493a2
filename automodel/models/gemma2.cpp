// Gemma 2: norms of 1 + w before and after each half, every other layer windowed, capped scores and logits, scaled
// embeddings. Source: transformers Gemma2ForCausalLM.
#include "automodel/models/registry.h"

namespace automodel::models {

static DecoderSpec read(HfConfig& given) {
  HfConfig config(with_gemma_defaults(given, {{"vocab_size", 256000}, {"max_position_embeddings", 8192}}),
                  given.where());
  auto spec = gemma_like(config);
  const auto cap = [&](const char* key, double silent) {  // null, unlike a key that is not there, means none
    return config.number(key, config.json().contains(key) ? 0 : silent, kFactor);
  };
  spec.head.softcap = cap("final_logit_softcapping", 30);
  const double softcap = cap("attn_logit_softcapping", 50);
  for (auto& layer : spec.layers) layer.attention.softcap = softcap;
  apply_sliding_window(config, spec, config.integer("sliding_window", 4096, kPositions),
                       [](int64_t i) { return i % 2 == 0; });
  given.adopt(config);
  return spec;
}

const Family kGemma2{"gemma2", {"Gemma2ForCausalLM"}, read, {}, {"*.rotary_emb.inv_freq"}};

}  // namespace automodel::models
