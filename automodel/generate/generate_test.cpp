#include "automodel/generate/generate.h"

#include "automodel/base/error.h"
#include "automodel/nn/toy_model.h"

namespace automodel::generate {
namespace {

// The likeliest next id by a whole forward without a cache.
int32_t next_by_full_forward(nn::Model& model, const std::vector<int32_t>& ids) {
  Context context;
  const auto hidden = nn::forward_hidden(model, make_batch({ids}).to(model.device), context);
  return static_cast<int32_t>(model.head->logits(hidden.narrow(0, hidden.size(0) - 1, 1)).argmax().item<int64_t>());
}

void expect_cache_equals_full_forward(nn::Model& model, std::vector<int32_t> ids, int64_t steps) {
  const auto found = generate(model, ids, {.max_new_tokens = steps});
  ASSERT_EQ(static_cast<int64_t>(found.size()), steps);
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i], next_by_full_forward(model, ids)) << "token " << i;
    ids.push_back(found[i]);
  }
}

TEST(Generate, GreedyWithACacheEqualsTheFullForwardAtEveryLength) {
  using Type = nn::RopeSpec::Type;
  const nn::RopeSpec ropes[] = {
      {.dim = 6},
      {.dim = 4},  // partial
      {.type = Type::Linear, .dim = 6, .factor = 3},
      {.type = Type::Llama3, .dim = 6, .factor = 8, .original_max_positions = 16},
      {.type = Type::Yarn, .dim = 6, .factor = 4, .original_max_positions = 16, .attention_factor = 1.1},
      {.type = Type::Dynamic, .dim = 6, .factor = 2, .max_positions = 4096},
      {.type = Type::LongRope,
       .dim = 6,
       .original_max_positions = 4096,
       .attention_factor = 1.2,
       .short_factor = {1, 2, 3},
       .long_factor = {4, 5, 6}},
  };
  for (const auto& rope : ropes)
    for (const int64_t window : {0, 5}) {
      SCOPED_TRACE(testing::Message() << rope.key() << " window " << window);
      const auto model = nn::make_toy_model({.window = window, .rope = rope});
      expect_cache_equals_full_forward(*model, {3, 1, 4}, 40);
    }
}

TEST(Generate, GrowsItsCacheBeyondItsFirstCapacity) {
  const auto model = nn::make_toy_model({.layers = 2});
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 254; ++i) prompt.push_back(i * 7 % 31);
  expect_cache_equals_full_forward(*model, prompt, 6);  // over the border of 256
  for (int32_t i = 0; i < 300; ++i) prompt.push_back(i * 5 % 31);
  expect_cache_equals_full_forward(*model, prompt, 2);
}

TEST(Generate, StopsWhereItIsTold) {
  const auto model = nn::make_toy_model();
  const auto all = generate(*model, {3, 1, 4}, {.max_new_tokens = 12});
  SamplingOptions options{.max_new_tokens = 12};
  options.stop_ids = {-5, all[3]};
  const auto first = static_cast<size_t>(std::find(all.begin(), all.end(), all[3]) - all.begin());
  EXPECT_EQ(generate(*model, {3, 1, 4}, options),
            std::vector<int32_t>(all.begin(), all.begin() + static_cast<int64_t>(first) + 1));
  std::vector<int32_t> streamed;
  const auto two = generate(*model, {3, 1, 4}, {.max_new_tokens = 12}, [&](int32_t id) {
    streamed.push_back(id);
    return streamed.size() < 2;
  });
  EXPECT_EQ(two, streamed);
  EXPECT_EQ(two, std::vector<int32_t>(all.begin(), all.begin() + 2));
  EXPECT_TRUE(generate(*model, {3}, {.max_new_tokens = 0}).empty());
}

TEST(Generate, DependsOnItsSeedAlone) {
  const auto model = nn::make_toy_model();
  const auto run = [&](uint64_t seed) {
    return generate(*model, {3, 1, 4}, {.max_new_tokens = 20, .temperature = 1.5, .seed = seed});
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(Generate, RefusesPromptsItCannotRead) {
  const auto model = nn::make_toy_model();
  EXPECT_THROW(generate(*model, {}, {}), DataError);
  EXPECT_THROW(generate(*model, {3, 31}, {}), DataError);
  EXPECT_THROW(generate(*model, {-1}, {}), DataError);
}

// On a GPU the first attention in fp32 says that no fused kernel takes it; once a process.
void warn_of_attention(nn::Model& model) { generate(model, {3}, {.max_new_tokens = 1}); }

TEST(Generate, StopsWhereLearnedPositionsEnd) {
  const auto model = nn::make_toy_model();
  model->embedding = std::make_unique<nn::Embedding>(
      nn::EmbeddingSpec{
          .module = "model.embed_tokens", .vocab = 31, .hidden = 16, .position_module = "wpe", .positions = 8},
      at::kFloat);
  nn::fill_toy(*model, 0.35f);
  warn_of_attention(*model);
  testing::internal::CaptureStderr();
  const auto found = generate(*model, {3, 1, 4}, {.max_new_tokens = 20});
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "warning: stopped after 6 new tokens: the model has learned positions for 8 tokens only\n");
  EXPECT_EQ(found.size(), 6u) << "the last of them is drawn after position 8 of 8";
  EXPECT_EQ(generate(*model, {1, 2, 3, 4, 5, 6, 7, 8}, {.max_new_tokens = 1}).size(), 1u);
  EXPECT_THROW(generate(*model, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {.max_new_tokens = 1}), DataError);
}

TEST(Generate, WarnsOnceWhenATextOutgrowsWhatTheModelWasMadeFor) {
  const auto model = nn::make_toy_model();
  warn_of_attention(*model);
  const auto warnings = [&](int64_t max_positions) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(generate(*model, {3, 1, 4}, {.max_new_tokens = 10, .max_positions = max_positions}).size(), 10u);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(warnings(12), "");
  EXPECT_EQ(warnings(0), "");
  const auto said = warnings(8);
  EXPECT_EQ(said.find("warning: "), said.rfind("warning: "));
  EXPECT_NE(said.find("longer than the 8 tokens that the model was made for"), std::string::npos) << said;
}

TEST(Generate, SaysWhenTheModelsNumbersAreDamaged) {
  const auto model = nn::make_toy_model();
  model->parameters()[0]->value().fill_(NAN);
  EXPECT_THROW(generate(*model, {3}, {}), NumericError);
}

// --- sampling

const std::vector<float> kLogits = {1.0f, 3.0f, -2.0f, 2.0f, 3.0f, 0.5f};

int32_t draw(const SamplingOptions& options, double number) {
  return sample(kLogits.data(), static_cast<int64_t>(kLogits.size()), options, number);
}

std::vector<double> shares(const SamplingOptions& options) {
  std::vector<double> share(kLogits.size());
  const int n = 20000;
  for (int i = 0; i < n; ++i) share[static_cast<size_t>(draw(options, (i + 0.5) / n))] += 1.0 / n;
  return share;
}

// softmax(logits / temperature) over the ids kept
std::vector<double> expected_shares(double temperature, const std::vector<int32_t>& kept) {
  std::vector<double> share(kLogits.size());
  double total = 0;
  for (const int32_t id : kept)
    total += share[static_cast<size_t>(id)] = std::exp(kLogits[static_cast<size_t>(id)] / temperature);
  for (auto& s : share) s /= total;
  return share;
}

void expect_shares(const SamplingOptions& options, const std::vector<int32_t>& kept) {
  const auto found = shares(options), expected = expected_shares(options.temperature, kept);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 2e-4) << "id " << i;
}

TEST(Sample, IsGreedyAtTemperatureZeroWithTheFirstOfEqualLogits) {
  EXPECT_EQ(draw({.temperature = 0}, 0.99), 1);
  EXPECT_EQ(draw({.temperature = 1, .top_k = 1}, 0.99), 1);
}

TEST(Sample, FollowsTheSoftmax) {
  for (const double temperature : {0.5, 1.0, 2.0}) expect_shares({.temperature = temperature}, {0, 1, 2, 3, 4, 5});
}

TEST(Sample, KeepsTheKLikeliest) {
  expect_shares({.temperature = 1, .top_k = 2}, {1, 4});
  expect_shares({.temperature = 1, .top_k = 3}, {1, 3, 4});
  expect_shares({.temperature = 1, .top_k = 100}, {0, 1, 2, 3, 4, 5});
}

TEST(Sample, KeepsTheLikeliestUntilTheirProbabilitiesReachP) {
  const auto p = expected_shares(1, {0, 1, 2, 3, 4, 5});
  expect_shares({.temperature = 1, .top_p = p[1] - 0.01}, {1});
  expect_shares({.temperature = 1, .top_p = p[1] + 0.01}, {1, 4});
  expect_shares({.temperature = 1, .top_p = p[1] + p[4] + 0.01}, {1, 3, 4});
  expect_shares({.temperature = 1, .top_p = 1e-9}, {1});
  // Among the k kept, probabilities are counted anew.
  expect_shares({.temperature = 1, .top_k = 3, .top_p = 0.99}, {1, 3, 4});
  expect_shares({.temperature = 1, .top_k = 3, .top_p = 0.8}, {1, 4});
}

TEST(Sample, TakesTheEndsOfTheDraw) {
  EXPECT_EQ(draw({.temperature = 1}, 0), 1);
  EXPECT_EQ(draw({.temperature = 1}, 1 - 1e-16), 2);
}

}  // namespace
}  // namespace automodel::generate
