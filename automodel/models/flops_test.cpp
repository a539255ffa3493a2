#include "automodel/models/flops.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/models/build.h"

namespace automodel::models {
namespace {

DecoderSpec llama3_8b() {
  return read_config({{"model_type", "llama"},
                      {"hidden_size", 4096},
                      {"intermediate_size", 14336},
                      {"num_hidden_layers", 32},
                      {"num_attention_heads", 32},
                      {"num_key_value_heads", 8},
                      {"vocab_size", 128256},
                      {"max_position_embeddings", 8192},
                      {"tie_word_embeddings", false}},
                     "config.json");
}

// 7,504,924,672 parameters of products: 32 layers of 218,103,808 and a head of 525,336,576.
TEST(Flops, OfLlama3EightBillion) {
  const auto spec = llama3_8b();
  const double n = 32.0 * 218103808 + 525336576, attention = 6.0 * 32 * 32 * 128 * 4096;
  EXPECT_DOUBLE_EQ(training_flops_per_token(spec, 4096, true), 4 * n + attention);
  EXPECT_DOUBLE_EQ(training_flops_per_token(spec, 4096, false), 6 * n + attention);
}

TEST(Flops, AWindowCountsTheKeysThatAreSeen) {
  auto spec = llama3_8b();
  const double none = training_flops_per_token(spec, 0, true),
               whole = training_flops_per_token(spec, 1000, true) - none;
  double seen = 0;
  for (int t = 1; t <= 1000; ++t) seen += std::min(t, 100);
  for (auto& layer : spec.layers) layer.attention.window = 100;
  EXPECT_NEAR(training_flops_per_token(spec, 1000, true) - none, whole * seen / (1000.0 * 1001 / 2), whole * 2e-3);
  for (auto& layer : spec.layers) layer.attention.window = 1000;
  EXPECT_DOUBLE_EQ(training_flops_per_token(spec, 1000, true) - none, whole);
}

}  // namespace
}  // namespace automodel::models
