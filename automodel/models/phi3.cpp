// Phi-3 and Phi-4: Llama with q, k, v and gate, up fused in the checkpoint. Source: transformers Phi3ForCausalLM.
#include "automodel/models/registry.h"

namespace automodel::models {

static DecoderSpec read(HfConfig& config) {
  auto spec = llama_like(config);
  const int64_t window = config.integer("sliding_window", 0, kPositions);
  config.number("embd_pdrop", 0, kDropout);  // in the config, applied nowhere by transformers
  config.require("attention_bias", false, "transformers' Phi3Attention has no biases");
  const double dropout = config.number("resid_pdrop", 0, kDropout);
  for (auto& layer : spec.layers) {
    const auto fuse = [&](nn::LinearSpec& linear, const std::string& name) {
      int64_t rows = 0;
      for (const int64_t part : linear.rows) rows += part;
      linear.modules = {layer.module + name}, linear.rows = {rows};
    };
    fuse(layer.attention.qkv, ".self_attn.qkv_proj");
    fuse(layer.mlp.in, ".mlp.gate_up_proj");
    layer.attention.window = window;
    layer.residual_dropout = dropout;
  }
  return spec;
}

const Family kPhi3{"phi3", {"Phi3ForCausalLM"}, read, {}, {"*.rotary_emb.inv_freq"}};

}  // namespace automodel::models
