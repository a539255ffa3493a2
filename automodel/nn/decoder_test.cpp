#include "automodel/nn/decoder.h"

#include <set>

#include "automodel/base/error.h"
#include "automodel/nn/toy_model.h"

namespace automodel::nn {
namespace {

at::Tensor hidden_of(Model& model, const Batch& batch) {
  Context context;
  return forward_hidden(model, batch, context);
}

TEST(Decoder, PackedDocumentsAreWhatTheyAreAlone) {
  const auto model = make_toy_model({.window = 3, .bias = true});
  const auto batch = toy_batch({5, 1, 70, 2});
  const auto packed = hidden_of(*model, batch);
  for (int64_t d = 0; d < batch.documents(); ++d) {
    const int64_t begin = batch.cu_seqlens[d], n = batch.cu_seqlens[d + 1] - begin;
    const auto alone = hidden_of(*model, part_of(batch, begin, n));
    EXPECT_TRUE(is_close(alone, packed.narrow(0, begin, n), device_bound(2e-6))) << "document " << d;
  }
}

TEST(Decoder, SeesThePastOnly) {
  const auto model = make_toy_model();
  auto batch = toy_batch({12});
  const auto before = hidden_of(*model, batch).clone();
  batch.ids[8].fill_((batch.ids[8].item<int64_t>() + 1) % 31);
  const auto after = hidden_of(*model, batch);
  EXPECT_TRUE(after.narrow(0, 0, 8).equal(before.narrow(0, 0, 8)));
  for (int64_t t = 8; t < 12; ++t) EXPECT_FALSE(after[t].equal(before[t])) << t;
}

TEST(Decoder, AWindowHidesWhatLiesBeforeIt) {
  const auto model = make_toy_model({.layers = 2, .window = 3});
  model->layers.erase(model->layers.begin());  // the windowed layer alone
  auto batch = toy_batch({12});
  const auto before = hidden_of(*model, batch).clone();
  batch.ids[4].fill_((batch.ids[4].item<int64_t>() + 1) % 31);
  const auto after = hidden_of(*model, batch);
  for (int64_t t = 0; t < 12; ++t) EXPECT_EQ(after[t].equal(before[t]), t < 4 || t > 6) << t;
}

TEST(Decoder, WithACacheIsWhatItIsAtOnce) {
  const auto model = make_toy_model({.window = 4});
  const auto batch = toy_batch({20});
  const auto whole = hidden_of(*model, batch);
  Cache cache;
  cache.layers.resize(model->layers.size());
  int64_t begin = 0;
  for (const int64_t n : {7, 1, 1, 8, 3}) {
    Context context;
    context.cache = &cache;
    EXPECT_TRUE(is_close(forward_hidden(*model, part_of(batch, begin, n), context), whole.narrow(0, begin, n),
                         device_bound(2e-6)))
        << "from token " << begin;
    begin += n;
    EXPECT_EQ(cache.layers[0].length, begin);
  }
  Context context;
  context.cache = &cache;
  EXPECT_THROW(forward_hidden(*model, toy_batch({2, 2}), context), CheckError);
}

TEST(Decoder, DropsInTrainingOnlyAndByItsKey) {
  const auto model = make_toy_model({.dropout = 0.4});
  const auto batch = toy_batch({9});
  const auto run = [&](bool training, uint64_t key) {
    Context context;
    context.training = training, context.key = RandomKey{key};
    return forward_hidden(*model, batch, context);
  };
  EXPECT_TRUE(run(false, 1).equal(run(false, 2)));
  EXPECT_TRUE(run(true, 1).equal(run(true, 1)));
  EXPECT_FALSE(run(true, 1).equal(run(true, 2)));
  EXPECT_FALSE(run(true, 1).equal(run(false, 1)));
}

TEST(Embedding, RefusesDocumentsLongerThanItsLearnedPositions) {
  Embedding embedding({.module = "wte", .vocab = 31, .hidden = 4, .position_module = "wpe", .positions = 6},
                      at::kFloat);
  std::vector<ParameterPtr> parameters;
  embedding.collect(parameters);
  for (const auto& parameter : parameters) parameter->set_value(random_tensor(parameter->shape(), 1));
  Context context;
  const auto batch = toy_batch({6, 2});
  const auto y = embedding.forward({}, batch, context).hidden;
  EXPECT_TRUE(is_close(
      y, parameters[0]->value().index_select(0, batch.ids) + parameters[1]->value().index_select(0, batch.positions),
      1e-7));
  EXPECT_THROW(embedding.forward({}, toy_batch({7}), context), DataError);
}

TEST(Model, ListsEveryParameterOnceAndEveryLinear) {
  for (const bool tied : {false, true}) {
    const auto model = make_toy_model({.layers = 2, .tied = tied});
    EXPECT_EQ(model->tied(), tied);
    std::vector<std::string> names;
    for (const auto& parameter : model->parameters())
      for (const auto& slice : parameter->slices()) names.push_back(slice.name);
    EXPECT_EQ(names.size(), 1 + 2 * 11 + 1 + (tied ? 0u : 1u));
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
    EXPECT_EQ(model->linears().size(), 2 * 4 + 1u);
    EXPECT_EQ(model->row().size(), 4u);
  }
}

TEST(Head, GivesLogitsLogProbsAndLossThatAgree) {
  const auto model = make_toy_model();
  const auto batch = toy_batch({9, 4});
  Context context;
  context.loss_scale = 0.25;
  const auto hidden = forward_hidden(*model, batch, context);
  const auto expected = model->head->logits(hidden)
                            .to(at::kDouble)
                            .log_softmax(-1)
                            .gather(1, batch.labels.clamp_min(0).unsqueeze(1))
                            .squeeze(1);
  const auto trained = batch.labels.ne(kIgnoreLabel);
  EXPECT_TRUE(
      is_close(model->head->log_probs(hidden, batch.labels), expected.masked_fill(trained.logical_not(), 0), 1e-5));
  Flow flow;
  flow.hidden = hidden;
  const at::NoGradGuard guard;
  const auto loss = model->head->forward(flow, batch, context).losses.at(0).value;
  EXPECT_NEAR(loss.item<double>(), -0.25 * expected.masked_select(trained).sum().item<double>(), 1e-5);
}

}  // namespace
}  // namespace automodel::nn
