// config.json: every key is obeyed, without effect, or an error that names it.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/models/build.h"

namespace automodel::models {
namespace {

Json tiny(const std::string& type) {
  if (type == "gpt2")
    return {{"model_type", type}, {"n_embd", 16},     {"n_layer", 2},
            {"n_head", 2},        {"vocab_size", 40}, {"n_positions", 32}};
  return {
      {"model_type", type},       {"hidden_size", 16},       {"num_hidden_layers", 4}, {"num_attention_heads", 4},
      {"num_key_value_heads", 2}, {"intermediate_size", 24}, {"vocab_size", 40},       {"max_position_embeddings", 64}};
}

std::string refusal(Json json, const BuildOptions& options = {}) {
  return message_of([&] { read_config(json, "dir/config.json", options); });
}

Json with(Json json, const std::string& key, const Json& value) {
  json[key] = value;
  return json;
}

std::vector<std::string> types() {
  std::vector<std::string> out;
  for (const Family* family : families()) out.push_back(family->model_type);
  return out;
}

TEST(Registry, ListsEveryFamilyOfTheRoom) {
  std::vector<std::string> in_files;
  const std::regex definition(R"re(const Family k\w+\{"(\w+)")re");
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(AUTOMODEL_SOURCE_DIR) / "automodel" / "models")) {
    if (entry.path().extension() != ".cpp" || entry.path().stem().string().ends_with("_test")) continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const std::string source = text.str();
    for (std::sregex_iterator match(source.begin(), source.end(), definition), end; match != end; ++match) {
      in_files.push_back((*match)[1]);
      EXPECT_EQ(entry.path().stem().string(), (*match)[1].str()) << "a family's file is named for its model_type";
    }
  }
  auto listed = types();
  std::sort(listed.begin(), listed.end()), std::sort(in_files.begin(), in_files.end());
  EXPECT_GE(in_files.size(), 7u);
  EXPECT_EQ(listed, in_files) << "a file defines a family that registry.cpp does not list";
}

TEST(Registry, NamesTheFamiliesItKnows) {
  const auto said = refusal(with(tiny("llama"), "model_type", "mamba"));
  EXPECT_NE(said.find("dir/config.json: model_type: 'mamba'"), std::string::npos) << said;
  for (const auto& type : types()) EXPECT_NE(said.find(type), std::string::npos) << type;
  EXPECT_NE(refusal(Json::object()).find("model_type"), std::string::npos);
  EXPECT_NE(refusal(Json::array()).find("expected a JSON object"), std::string::npos);
}

TEST(Config, OfEveryFamilyBuildsAModelWithItsNames) {
  for (const auto& type : types()) {
    const auto spec = read_config(tiny(type), type);
    const auto model = build(spec, at::kFloat);
    EXPECT_EQ(static_cast<int64_t>(model->layers.size()), type == "gpt2" ? 2 : 4) << type;
    for (const auto& parameter : model->parameters())
      EXPECT_FALSE(parameter->has_value()) << "a built model has no memory yet";
    EXPECT_EQ(count_parameters(*model), count_parameters(*model, true));
  }
}

TEST(Config, NamesAnUnknownKeyAndTheNearestKnownOne) {
  for (const auto& type : types()) {
    SCOPED_TRACE(type);
    const std::string key = type == "gpt2" ? "n_layers" : "hidden_sizes";
    const auto said = refusal(with(tiny(type), key, 7));
    EXPECT_NE(said.find("dir/config.json: " + key), std::string::npos) << said;
    EXPECT_NE(said.find(type == "gpt2" ? "did you mean 'n_layer'?" : "did you mean 'hidden_size'?"), std::string::npos)
        << said;
    EXPECT_NE(said.find("--model.allow_config_keys"), std::string::npos) << said;
    EXPECT_EQ(refusal(with(tiny(type), key, 7), {.allowed_config_keys = {key}}), "");
    EXPECT_EQ(refusal(with(tiny(type), "transformers_version", "5.0")), "") << "a key without effect";
  }
}

TEST(Config, NamesAKeyOfTheWrongKind) {
  const std::pair<const char*, Json> wrong[] = {{"hidden_size", "16"},
                                                {"hidden_size", 16.5},
                                                {"hidden_size", 0},
                                                {"hidden_size", -4},
                                                {"vocab_size", -1},
                                                {"num_hidden_layers", 0},
                                                {"num_key_value_heads", 3},
                                                {"tie_word_embeddings", 1},
                                                {"hidden_act", 3},
                                                {"hidden_act", "mish"},
                                                {"rms_norm_eps", "small"},
                                                {"rope_parameters", 3},
                                                {"vocab_size", Json(1e30)},
                                                {"num_attention_heads", nullptr},
                                                {"head_dim", 5},
                                                {"head_dim", 0},
                                                {"head_dim", -1}};
  for (const auto& [key, value] : wrong) {
    const auto said = refusal(with(tiny("llama"), key, value));
    EXPECT_NE(said, "") << key << " = " << value;
  }
  EXPECT_NE(refusal(with(tiny("llama"), "hidden_size", "16"))
                .find("dir/config.json: hidden_size: expected an integer, got \"16\""),
            std::string::npos);
}

TEST(Config, OfGpt2NamesAKeyOfTheWrongKind) {
  const std::pair<const char*, Json> wrong[] = {{"n_embd", "16"},
                                                {"n_layer", 0},
                                                {"n_head", 0},
                                                {"n_head", 3},
                                                {"vocab_size", -1},
                                                {"n_positions", 0},
                                                {"embd_pdrop", "a"},
                                                {"tie_word_embeddings", 1},
                                                {"activation_function", "mish"},
                                                {"layer_norm_epsilon", "x"},
                                                {"n_inner", -1}};
  for (const auto& [key, value] : wrong)
    EXPECT_NE(refusal(with(tiny("gpt2"), key, value)).find(key), std::string::npos) << key << " = " << value;
}

// Every number that a family reads, with a value out of its range: the message says file, key, what came, what may.
TEST(Config, NamesANumberOutOfItsRange) {
  struct Case {
    const char *type, *key;
    Json value;
    const char* expected;
  };
  const char *size = "a positive integer up to 67108864", *few = "a positive integer up to 16384",
             *length = "a positive integer up to 1099511627776", *dropout = "a number from 0 to below 1",
             *deviation = "a number from 0 to 10000", *epsilon = "a number from 0 to 1",
             *base = "a number from 1 to 1e+30", *factor = "a number from 1e-06 to 1000000000";
  const Case cases[] = {{"llama", "hidden_size", int64_t{1} << 27, size},
                        {"llama", "vocab_size", 0, size},
                        {"llama", "intermediate_size", -1, size},
                        {"llama", "num_hidden_layers", 16385, few},
                        {"llama", "num_attention_heads", 0, few},
                        {"llama", "num_key_value_heads", 0, few},
                        {"llama", "head_dim", -4, few},
                        {"llama", "max_position_embeddings", 0, length},
                        {"llama", "pad_token_id", 40, "an integer from -1 to 39"},
                        {"llama", "pad_token_id", -2, "an integer from -1 to 39"},
                        {"llama", "attention_dropout", 1.5, dropout},
                        {"llama", "attention_dropout", 1, dropout},
                        {"llama", "attention_dropout", -0.1, dropout},
                        {"llama", "initializer_range", -0.02, deviation},
                        {"llama", "rms_norm_eps", -1e-6, epsilon},
                        {"llama", "rms_norm_eps", 2, epsilon},
                        {"llama", "rope_theta", 0, base},
                        {"llama", "rope_theta", -1e4, base},
                        {"llama", "partial_rotary_factor", 0, "a number above 0 to 1"},
                        {"llama", "partial_rotary_factor", 1.5, "a number above 0 to 1"},
                        {"llama", "original_max_position_embeddings", 0, length},
                        {"llama", "vocab_size", ~uint64_t{0}, size},
                        {"mistral", "sliding_window", 0, length},
                        {"qwen2", "sliding_window", -5, "an integer from 0 to 1099511627776"},
                        {"qwen2", "max_window_layers", -1, "an integer from 0 to 1099511627776"},
                        {"phi3", "sliding_window", -1, length},
                        {"phi3", "embd_pdrop", 1.5, dropout},
                        {"phi3", "resid_pdrop", 1.5, dropout},
                        {"gemma2", "sliding_window", 0, length},
                        {"gemma2", "query_pre_attn_scalar", 0, factor},
                        {"gemma2", "attn_logit_softcapping", 0, factor},
                        {"gemma2", "final_logit_softcapping", -1, factor},
                        {"gemma3_text", "sliding_window", 0, length},
                        {"gemma3_text", "sliding_window_pattern", 0, few},
                        {"gemma3_text", "_sliding_window_pattern", 0, few},
                        {"gemma3_text", "query_pre_attn_scalar", 0, factor},
                        {"gemma3_text", "final_logit_softcapping", 0, factor},
                        {"gemma3_text", "rope_local_base_freq", 0, base},
                        {"gemma3_text", "rope_theta", 0, base},
                        {"gpt2", "n_embd", 0, size},
                        {"gpt2", "n_layer", 0, few},
                        {"gpt2", "n_head", 0, few},
                        {"gpt2", "n_inner", 0, size},
                        {"gpt2", "n_positions", 0, size},
                        {"gpt2", "n_ctx", 0, size},
                        {"gpt2", "initializer_range", -1, deviation},
                        {"gpt2", "layer_norm_epsilon", -1, epsilon},
                        {"gpt2", "embd_pdrop", 1, dropout},
                        {"gpt2", "resid_pdrop", 7, dropout},
                        {"gpt2", "attn_pdrop", -1, dropout}};
  for (const auto& [type, key, value, expected] : cases)
    EXPECT_EQ(refusal(with(tiny(type), key, value)).substr(0, 200),
              fmt::format("dir/config.json: {}: expected {}, got {}", key, expected, value.dump()))
        << type;
  auto sliding = with(with(tiny("qwen2"), "use_sliding_window", true), "sliding_window", 0);
  EXPECT_NE(refusal(with(sliding, "max_window_layers", 0)).find("sliding_window: expected a positive integer"),
            std::string::npos);
  EXPECT_NE(refusal(with(tiny("llama"), "num_attention_heads", 32)).find("num_attention_heads"), std::string::npos);
}

TEST(Rope, NamesANumberOutOfItsRange) {
  const auto expect = [](Json scaling, const char* key, const Json& value, const char* expected) {
    scaling[key] = value;
    EXPECT_EQ(refusal(with(tiny("llama"), "rope_scaling", scaling)),
              fmt::format("dir/config.json: rope_parameters.{}: expected {}, got {}", key, expected, value.dump()));
  };
  const char *factor = "a number from 1e-06 to 1000000000", *base = "a number from 1 to 1e+30",
             *mscale = "a number from 0 to 1000000000";
  const Json linear = {{"rope_type", "linear"}, {"factor", 2.0}},
             llama3 = {{"rope_type", "llama3"}, {"factor", 2}, {"low_freq_factor", 1}, {"high_freq_factor", 4}},
             yarn = {{"rope_type", "yarn"}, {"factor", 4}},
             longrope = {{"rope_type", "longrope"}, {"short_factor", {1, 1}}, {"long_factor", {2, 2}}};
  expect(linear, "factor", 0, factor);
  expect(linear, "factor", -2.0, factor);
  expect(linear, "rope_theta", 0, base);
  expect(linear, "partial_rotary_factor", 2, "a number above 0 to 1");
  expect(llama3, "factor", 0, factor);
  expect(llama3, "low_freq_factor", 0, factor);
  expect(llama3, "high_freq_factor", -4, factor);
  expect(llama3, "original_max_position_embeddings", 0, "a number from 1 to 1000000000000");
  expect(yarn, "factor", -1, factor);
  expect(yarn, "beta_fast", 0, factor);
  expect(yarn, "beta_slow", -1, factor);
  expect(yarn, "attention_factor", 0, factor);
  expect(yarn, "mscale", -0.5, mscale);
  expect(yarn, "mscale_all_dim", -0.5, mscale);
  expect(yarn, "truncate", 1, "true or false");
  expect(longrope, "factor", 0, factor);
  expect(longrope, "attention_factor", -1, factor);
  for (const char* key : {"short_factor", "long_factor"}) {
    auto broken = longrope;
    broken[key] = {1, 0};
    EXPECT_EQ(refusal(with(tiny("llama"), "rope_scaling", broken)),
              fmt::format("dir/config.json: rope_parameters.{}: expected {}, got 0", key, factor));
  }
  EXPECT_NE(refusal(with(with(tiny("llama"), "rope_scaling", longrope), "original_max_position_embeddings", 1))
                .find("expected at least 2"),
            std::string::npos);
  auto one = yarn;
  one["rope_theta"] = 1;
  EXPECT_NE(refusal(with(tiny("llama"), "rope_scaling", one)).find("other than 1"), std::string::npos);
}

TEST(Config, RefusesWhatTheFamilyCannotDo) {
  EXPECT_NE(refusal(with(tiny("phi3"), "attention_bias", true)), "");
  EXPECT_NE(refusal(with(tiny("gemma2"), "use_bidirectional_attention", true)), "");
  EXPECT_NE(refusal(with(tiny("gemma3_text"), "use_bidirectional_attention", true)), "");
  EXPECT_NE(refusal(with(tiny("qwen2"), "layer_types", {"full_attention"})).find("layer_types"), std::string::npos);
  EXPECT_NE(
      refusal(with(tiny("qwen2"), "layer_types", {"full_attention", "chunked", "full_attention", "full_attention"}))
          .find("'chunked'"),
      std::string::npos);
}

std::vector<int64_t> windows(const Json& json) {
  std::vector<int64_t> out;
  for (const auto& layer : read_config(json, "f").layers) out.push_back(layer.attention.window);
  return out;
}

TEST(Windows, FollowEachFamilysRule) {
  using W = std::vector<int64_t>;
  EXPECT_EQ(windows(tiny("llama")), (W{0, 0, 0, 0}));
  EXPECT_EQ(windows(with(tiny("mistral"), "sliding_window", 8)), (W{8, 8, 8, 8}));
  EXPECT_EQ(windows(with(tiny("mistral"), "sliding_window", nullptr)), (W{0, 0, 0, 0}));
  auto qwen = with(with(tiny("qwen2"), "sliding_window", 8), "max_window_layers", 2);
  EXPECT_EQ(windows(qwen), (W{0, 0, 0, 0})) << "use_sliding_window is false";
  qwen["use_sliding_window"] = true;
  EXPECT_EQ(windows(qwen), (W{0, 0, 8, 8}));
  qwen["layer_types"] = {"sliding_attention", "full_attention", "full_attention", "sliding_attention"};
  EXPECT_EQ(windows(qwen), (W{8, 0, 0, 8}));
  auto gemma = with(with(tiny("gemma3_text"), "sliding_window", 8), "sliding_window_pattern", 2);
  EXPECT_EQ(windows(gemma), (W{8, 0, 8, 0}));
  EXPECT_EQ(windows(with(tiny("gemma2"), "sliding_window", 8)), (W{8, 0, 8, 0}));
}

TEST(Softcap, OfGemma2IsItsClassesOwnWhereTheConfigIsSilentAndNoneWhereItSaysNull) {
  const auto caps = [](const Json& json) {
    const auto spec = read_config(json, "f");
    return std::pair{spec.layers.at(1).attention.softcap, spec.head.softcap};
  };
  EXPECT_EQ(caps(tiny("gemma2")), (std::pair{50.0, 30.0}));
  EXPECT_EQ(caps(with(tiny("gemma2"), "attn_logit_softcapping", 20)), (std::pair{20.0, 30.0}));
  EXPECT_EQ(caps(with(tiny("gemma2"), "attn_logit_softcapping", nullptr)), (std::pair{0.0, 30.0}));
  EXPECT_EQ(caps(with(tiny("gemma2"), "final_logit_softcapping", nullptr)), (std::pair{50.0, 0.0}));
}

nn::RopeSpec rope_of(const Json& json) { return *read_config(json, "f").layers.at(0).attention.rope; }

TEST(Rope, IsReadInBothSpellings) {
  const Json old_style = with(with(tiny("llama"), "rope_theta", 5e5), "rope_scaling",
                              {{"type", "llama3"},
                               {"factor", 8.0},
                               {"low_freq_factor", 1.0},
                               {"high_freq_factor", 4.0},
                               {"original_max_position_embeddings", 32}});
  const Json new_style = with(tiny("llama"), "rope_parameters",
                              {{"rope_type", "llama3"},
                               {"rope_theta", 5e5},
                               {"factor", 8.0},
                               {"low_freq_factor", 1.0},
                               {"high_freq_factor", 4.0},
                               {"original_max_position_embeddings", 32}});
  EXPECT_EQ(rope_of(old_style).key(), rope_of(new_style).key());
  EXPECT_EQ(rope_of(new_style).type, nn::RopeSpec::Type::Llama3);
  EXPECT_EQ(rope_of(new_style).theta, 5e5);
  EXPECT_EQ(rope_of(new_style).original_max_positions, 32);
}

TEST(Rope, WorksOutItsAttentionFactor) {
  Json yarn = with(tiny("llama"), "rope_scaling",
                   {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}});
  EXPECT_NEAR(rope_of(yarn).attention_factor, 0.1 * std::log(4.0) + 1, 1e-12);
  yarn["rope_scaling"]["mscale"] = 0.7, yarn["rope_scaling"]["mscale_all_dim"] = 1.3;
  EXPECT_NEAR(rope_of(yarn).attention_factor, (0.07 * std::log(4.0) + 1) / (0.13 * std::log(4.0) + 1), 1e-12);
  yarn["rope_scaling"]["attention_factor"] = 1.5;
  EXPECT_EQ(rope_of(yarn).attention_factor, 1.5);
  const Json longrope = with(with(tiny("phi3"), "original_max_position_embeddings", 16), "rope_scaling",
                             {{"type", "longrope"}, {"short_factor", {1.0, 1.5}}, {"long_factor", {2.0, 3.0}}});
  EXPECT_NEAR(rope_of(longrope).attention_factor, std::sqrt(1 + std::log(64.0 / 16) / std::log(16.0)), 1e-12);
}

TEST(Rope, RefusesWhatItDoesNotKnow) {
  const auto scaled = [](const Json& scaling) { return refusal(with(tiny("llama"), "rope_scaling", scaling)); };
  EXPECT_NE(scaled({{"rope_type", "spiral"}}).find("'spiral' is not known"), std::string::npos);
  EXPECT_NE(scaled({{"rope_type", "linear"}}).find("rope_parameters.factor"), std::string::npos);
  EXPECT_NE(scaled({{"rope_type", "linear"}, {"factor", "2"}}).find("rope_parameters.factor"), std::string::npos);
  EXPECT_NE(scaled({{"rope_type", "linear"}, {"factor", 2.0}, {"fctor", 2.0}}).find("rope_parameters.fctor"),
            std::string::npos);
  EXPECT_NE(scaled({{"rope_type", "longrope"}, {"short_factor", {1.0}}, {"long_factor", {1.0, 2.0}}})
                .find("rope_parameters.short_factor"),
            std::string::npos);
  EXPECT_NE(scaled({{"rope_type", "llama3"}, {"factor", 2.0}, {"low_freq_factor", 1.0}}).find("high_freq_factor"),
            std::string::npos);
  EXPECT_NE(scaled({{"rope_type", "default"}, {"partial_rotary_factor", 0.75}}).find("partial_rotary_factor"),
            std::string::npos)
      << "3 of 4 dims";
}

}  // namespace
}  // namespace automodel::models
