// Rotary position embedding: the angles of every token, for every scaling that Hugging Face configs know.
#pragma once

#include <string>
#include <vector>

#include "automodel/kernels/qkv/qkv.h"
#include "automodel/tensor/batch.h"

namespace automodel::nn {

/// The numbers of `rope_parameters` (or rope_scaling and rope_theta), spelled as there.
struct RopeSpec {
  enum class Type { Default, Linear, Dynamic, Llama3, Yarn, LongRope } type = Type::Default;
  int64_t dim = 0;  // rotated part of the head, even
  double theta = 10000;
  double factor = 1;
  int64_t max_positions = 0;  // max_position_embeddings (dynamic)
  int64_t original_max_positions = 0;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  bool truncate = true;                              // yarn
  double attention_factor = 1;  // cos and sin are multiplied by it (yarn, longrope), already worked out by the family
  std::vector<double> short_factor, long_factor;  // longrope, [dim / 2] each

  /// A name that two specs share only if they give the same angles: the key of the table in Context::memo.
  std::string key() const;
  bool depends_on_length() const { return type == Type::Dynamic || type == Type::LongRope; }
};

/// Inverse frequencies [dim / 2] for a document of `length` tokens. Source: transformers modeling_rope_utils.
std::vector<float> rope_inverse_frequencies(const RopeSpec& spec, int64_t length);

/// cos and sin [T, dim / 2] fp32 of the batch's positions, made once a microbatch and kept in the context. The scaling
/// of types that depend on the length is chosen for each document on its own.
kernels::RopeTable rope_table(const RopeSpec& spec, const Batch& batch, Context& context);

}  // namespace automodel::nn
