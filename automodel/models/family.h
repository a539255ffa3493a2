// Family: a reader of config.json plus what is odd about it. One file a family, named for its model_type; registry.cpp
// lists them.
#pragma once

#include <string>
#include <vector>

#include "automodel/models/hf_config.h"
#include "automodel/nn/decoder.h"

namespace automodel::models {

/// Everything build() needs: what the blocks are and what their parameters are called.
struct DecoderSpec {
  nn::EmbeddingSpec embedding;
  std::vector<nn::LayerSpec> layers;
  nn::HeadSpec head;
  int64_t max_positions = 0;
};

struct Family {
  std::string model_type;
  std::vector<std::string> architectures;  // of the causal language model
  DecoderSpec (*read)(HfConfig& config);
  /// Prefixes that the files of a checkpoint may leave out of the state dict's names ("transformer." on the Hub's
  /// gpt2).
  std::vector<std::string> optional_prefixes;
  /// Tensors that checkpoints carry and nobody needs (wildcards).
  std::vector<std::string> ignored_tensors;
};

/// The Llama shape, which most families start from and then change: q/k/v/o, gated MLP, pre-norm RMSNorm, rotary
/// positions. Reads hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim,
/// intermediate_size, rms_norm_eps, hidden_act, vocab_size, initializer_range, tie_word_embeddings, rope_*,
/// attention_dropout, max_position_embeddings.
DecoderSpec llama_like(HfConfig& config);

/// What Gemma 2 and 3 share: Llama with norms of 1 + w before and after each half, embeddings times sqrt(hidden) and
/// query_pre_attn_scalar for the scores. `config` is what with_gemma_defaults() made.
DecoderSpec gemma_like(HfConfig& config);
/// The config with what Gemma's own classes fill in where it is silent and Llama's defaults differ, and `more`.
Json with_gemma_defaults(HfConfig& given, const Json& more);

/// The rotary embedding of a config, from rope_parameters or rope_scaling with rope_theta, of one layer type where they
/// differ.
nn::RopeSpec read_rope(HfConfig& config, int64_t head_dim, double default_theta = 10000,
                       const std::string& layer_type = "");

/// Sets attention.window of the layers: layer_types if given, else `is_sliding(i)`.
void apply_sliding_window(HfConfig& config, DecoderSpec& spec, int64_t window,
                          const std::function<bool(int64_t)>& is_sliding);

}  // namespace automodel::models
