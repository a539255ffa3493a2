#include "automodel/models/flops.h"

#include <numeric>

namespace automodel::models {

static double product_parameters(const nn::LinearSpec& linear) {
  return static_cast<double>(std::accumulate(linear.rows.begin(), linear.rows.end(), int64_t{0})) *
         static_cast<double>(linear.in);
}

// Query t of n sees min(t, w) keys: the mean is n / 2, or w (1 - w / 2n) where the window w is shorter than n.
static double mean_keys(double tokens, double window) {
  return window > 0 && window < tokens ? window * (1 - window / (2 * tokens)) : tokens / 2;
}

namespace {
struct Sums {
  double parameters = 0;  // of the layers' products
  double keys = 0;        // heads * head_dim * keys that a query sees
};

Sums sums_of_layers(const DecoderSpec& spec, int64_t document_tokens) {
  Sums sums;
  for (const auto& layer : spec.layers) {
    const auto& a = layer.attention;
    for (const auto* linear : {&a.qkv, &a.out, &layer.mlp.in, &layer.mlp.out})
      sums.parameters += product_parameters(*linear);
    sums.keys += static_cast<double>(a.heads * a.head_dim) *
                 mean_keys(static_cast<double>(document_tokens), static_cast<double>(a.window));
  }
  return sums;
}
}  // namespace

double training_flops_per_token(const DecoderSpec& spec, int64_t document_tokens, bool adapters_only) {
  const auto [parameters, keys] = sums_of_layers(spec, document_tokens);
  return (adapters_only ? 4 : 6) * (parameters + product_parameters(spec.head.linear)) + 12 * keys;
}

double layers_forward_flops_per_token(const DecoderSpec& spec, int64_t document_tokens) {
  const auto [parameters, keys] = sums_of_layers(spec, document_tokens);
  return 2 * parameters + 4 * keys;
}

}  // namespace automodel::models
