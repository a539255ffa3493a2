// Sampling from a model, one token at a time, with a cache of keys and values.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "automodel/nn/model.h"

namespace automodel::generate {

struct SamplingOptions {
  int64_t max_new_tokens = 256;
  double temperature = 0;  // 0: greedy
  int64_t top_k = 0;       // keep the k likeliest; 0: all
  double top_p = 1;        // keep the likeliest until their probabilities reach p
  uint64_t seed = 42;      // the token at a position depends on (seed, position) and the logits alone
  std::vector<int32_t> stop_ids;
  int64_t max_positions = 0;  // the length that the model was made for: beyond it a warning is logged; 0: not known
};

/// Continues `prompt` (at least one id). Each new id is handed to `on_token` before the next is computed; returning
/// false stops. Returns the new ids, the stop id included. The prompt runs once; a further token costs one row through
/// the model. Learned positions end the text: after the token that would need one more, it stops and a warning says so;
/// with rotary positions it goes on, and one warning says that the model was not made for it. Throws DataError for ids
/// outside the vocabulary, and for a prompt longer than the learned positions.
std::vector<int32_t> generate(nn::Model& model, const std::vector<int32_t>& prompt, const SamplingOptions& options,
                              const std::function<bool(int32_t)>& on_token = {});

/// The id drawn from logits [V] fp32; `draw`, a number in [0, 1), decides. Throws NumericError for a NaN logit.
int32_t sample(const float* logits, int64_t vocab, const SamplingOptions& options, double draw);

}  // namespace automodel::generate
