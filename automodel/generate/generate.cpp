#include "automodel/generate/generate.h"

#include <cmath>
#include <numeric>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/random.h"

namespace automodel::generate {

int32_t sample(const float* logits, int64_t vocab, const SamplingOptions& options, double draw) {
  for (int64_t i = 0; i < vocab; ++i)
    if (std::isnan(logits[i]))
      throw NumericError(fmt::format("logit {}", i), "is not a number: the model's weights are damaged");
  if (options.temperature <= 0) return static_cast<int32_t>(std::max_element(logits, logits + vocab) - logits);
  std::vector<int32_t> order(static_cast<size_t>(vocab));
  std::iota(order.begin(), order.end(), 0);
  // Equal logits are ordered by id, so that a seed gives the same text everywhere.
  const auto likelier = [&](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
  size_t kept = order.size();
  if (options.top_k > 0) kept = std::min(kept, static_cast<size_t>(options.top_k));
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(options.top_p < 1 ? order.size() : kept),
                    order.end(), likelier);

  std::vector<double> weight(kept);
  for (size_t i = 0; i < kept; ++i)
    weight[i] = std::exp((static_cast<double>(logits[order[i]]) - logits[order[0]]) / options.temperature);
  double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  if (options.top_p < 1) {
    double sum = 0;
    size_t n = 0;
    while (n < kept && sum < options.top_p * total) sum += weight[n++];
    kept = std::max<size_t>(n, 1), total = std::max(sum, weight[0]);
  }
  double left = draw * total;
  for (size_t i = 0; i + 1 < kept; ++i)
    if ((left -= weight[i]) < 0) return order[i];
  return order[kept - 1];
}

static Batch next_batch(const std::vector<int32_t>& ids, int64_t first_position) {
  auto batch = make_batch({ids});
  batch.positions.add_(first_position);
  return batch;
}

static void check_prompt(const nn::EmbeddingSpec& embedding, const std::vector<int32_t>& prompt) {
  if (prompt.empty()) throw DataError("prompt", "is empty, expected at least one token");
  for (const int32_t id : prompt)
    if (id < 0 || id >= embedding.vocab)
      throw DataError("prompt", fmt::format("id {} is outside the model's vocabulary of {}", id, embedding.vocab),
                      "the tokenizer does not fit the model");
  if (embedding.positions > 0 && static_cast<int64_t>(prompt.size()) > embedding.positions)
    throw DataError(
        "prompt",
        fmt::format("has {} tokens, the model has learned positions for {} only", prompt.size(), embedding.positions),
        "shorten it");
}

std::vector<int32_t> generate(nn::Model& model, const std::vector<int32_t>& prompt, const SamplingOptions& options,
                              const std::function<bool(int32_t)>& on_token) {
  check_prompt(model.embedding->spec(), prompt);
  const int64_t learned = model.embedding->spec().positions;
  bool warned = learned > 0 || options.max_positions == 0;
  at::NoGradGuard guard;
  Cache cache;
  cache.layers.resize(model.layers.size());
  std::vector<int32_t> fresh, feed = prompt;
  while (static_cast<int64_t>(fresh.size()) < options.max_new_tokens) {
    const int64_t reached = cache.length + static_cast<int64_t>(feed.size());
    if (learned > 0 && reached > learned) {
      log_warning(fmt::format("stopped after {}: the model has learned positions for {} only",
                              counted(std::ssize(fresh), "new token"), counted(learned, "token")));
      break;
    }
    if (!warned && reached > options.max_positions) {
      log_warning(
          fmt::format("the text is now longer than the {} tokens that the model was made for "
                      "(max_position_embeddings): what follows may make little sense",
                      options.max_positions));
      warned = true;
    }
    Context context;
    context.cache = &cache;
    const auto batch = next_batch(feed, cache.length).to(model.device);
    const auto hidden = nn::forward_hidden(model, batch, context);
    cache.length += batch.tokens();
    const auto logits = model.head->logits(hidden.narrow(0, hidden.size(0) - 1, 1)).cpu().contiguous();
    const double draw = uniform(RandomKey{options.seed}, static_cast<uint64_t>(cache.length));
    const int32_t id = sample(logits.const_data_ptr<float>(), logits.size(1), options, draw);
    fresh.push_back(id);
    const bool stop = std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end();
    if ((on_token && !on_token(id)) || stop) break;
    feed = {id};
  }
  return fresh;
}

}  // namespace automodel::generate
