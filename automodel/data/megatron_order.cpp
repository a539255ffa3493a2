#include "automodel/data/megatron_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "automodel/base/error.h"
#include "automodel/data/megatron_random.h"

namespace automodel::data {

static constexpr double kLastEpochThreshold = 0.80;

std::vector<int32_t> sequence_lengths(const MegatronFile& file, const OrderRequest& request) {
  std::vector<int32_t> lengths;
  lengths.reserve(static_cast<size_t>(request.last - request.first));
  for (int64_t i = request.first; i < request.last; ++i) lengths.push_back(static_cast<int32_t>(file.length(i)));
  return lengths;
}

EpochPlan plan_epochs(const std::vector<int32_t>& lengths, const OrderRequest& request, const std::string& where) {
  EpochPlan plan;
  plan.tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  if (plan.tokens == 0)
    throw DataError(where, fmt::format("the {} sequences of this split have no tokens", lengths.size()));
  const int64_t extra = request.extra_token ? 1 : 0, window = request.sequence_length;
  if (request.samples) {
    AM_CHECK(*request.samples <= UINT32_MAX && window <= INT32_MAX / 2, "{} samples of {}", *request.samples, window);
    const int64_t asked = *request.samples * window + extra;
    plan.epochs = std::max<int64_t>(1, (asked + plan.tokens - 1) / plan.tokens);
  }
  if (plan.epochs > INT32_MAX / static_cast<int64_t>(lengths.size()) ||
      plan.epochs > std::numeric_limits<int64_t>::max() / plan.tokens)
    throw DataError(
        where,
        fmt::format("{} samples of {} tokens take {} epochs over {} tokens, which is more than an index holds",
                    request.samples.value_or(0), window, plan.epochs, plan.tokens),
        "ask for fewer samples (max_steps, num_train_samples)");
  plan.samples = (plan.epochs * plan.tokens - extra) / window;
  if (plan.samples >= INT32_MAX)
    throw DataError(where, fmt::format("gives {} samples, more than an index holds", plan.samples),
                    "raise seq_length, or split the files");
  if (plan.epochs > 1) {
    plan.samples_before_last = ((plan.epochs - 1) * plan.tokens - extra) / window;
    const int64_t of_last = *request.samples - plan.samples_before_last;
    const int64_t of_epoch = (plan.tokens - extra) / window;
    plan.last_apart = of_last < static_cast<int64_t>(kLastEpochThreshold * static_cast<double>(of_epoch));
  }
  return plan;
}

static std::vector<int32_t> document_index(const OrderRequest& request, const EpochPlan& plan, RandomState& random) {
  std::vector<int32_t> documents;
  const auto count = static_cast<size_t>(request.last - request.first);
  documents.reserve(count * static_cast<size_t>(plan.epochs));
  for (int64_t epoch = 0; epoch < plan.epochs; ++epoch)
    for (int64_t i = request.first; i < request.last; ++i) documents.push_back(static_cast<int32_t>(i));
  const std::span<int32_t> all(documents);
  if (!plan.last_apart) {
    random.shuffle(all);
  } else {
    random.shuffle(all.first(all.size() - count));
    random.shuffle(all.last(count));
  }
  return documents;
}

static std::vector<int32_t> sample_index(const std::vector<int32_t>& lengths, const OrderRequest& request,
                                         const EpochPlan& plan, const std::vector<int32_t>& documents) {
  const int64_t extra = request.extra_token ? 1 : 0;
  std::vector<int32_t> rows;
  rows.reserve(2 * static_cast<size_t>(plan.samples + 1));
  size_t document = 0;
  int64_t offset = 0;
  rows.insert(rows.end(), {0, 0});
  for (int64_t sample = 0; sample < plan.samples; ++sample) {
    int64_t missing = request.sequence_length + extra;
    while (true) {
      const int64_t there = lengths[static_cast<size_t>(documents[document] - request.first)] - offset;
      if (there >= missing) break;
      missing -= there;
      ++document, offset = 0;
      AM_CHECK(document < documents.size(), "the windows need more tokens than there are");
    }
    offset += missing - extra;  // the extra token begins the next window too
    rows.insert(rows.end(), {static_cast<int32_t>(document), static_cast<int32_t>(offset)});
  }
  return rows;
}

OrderIndices build_order(const std::vector<int32_t>& lengths, const OrderRequest& request, const EpochPlan& plan) {
  RandomState random(request.seed);
  OrderIndices order;
  order.documents = document_index(request, plan, random);
  order.samples = sample_index(lengths, request, plan, order.documents);
  order.shuffle.resize(static_cast<size_t>(plan.samples));
  std::iota(order.shuffle.begin(), order.shuffle.end(), 0u);
  const std::span<uint32_t> all(order.shuffle);
  const auto first = plan.last_apart ? static_cast<size_t>(plan.samples_before_last) : all.size();
  random.shuffle(all.first(first));
  random.shuffle(all.subspan(first));
  return order;
}

BlendIndices blend_by_weight(const std::vector<double>& weights, int64_t size) {
  BlendIndices blend;
  std::vector<int64_t> given(weights.size(), 0);
  for (int64_t i = 0; i < size; ++i) {
    const double at = std::max(static_cast<double>(i), 1.0);
    size_t most = 0;
    double lag = weights[0] * at - static_cast<double>(given[0]);
    for (size_t k = 1; k < weights.size(); ++k) {
      const double other = weights[k] * at - static_cast<double>(given[k]);
      if (other > lag) lag = other, most = k;
    }
    blend.set.push_back(static_cast<int16_t>(most));
    blend.sample.push_back(given[most]++);
  }
  return blend;
}

BlendIndices blend_exhaustively(const std::vector<int64_t>& sizes) {
  const auto total = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}));
  BlendIndices blend;
  std::vector<int64_t> given(sizes.size(), 0);
  for (int64_t i = 0;; ++i) {
    const double at = std::max(static_cast<double>(i), 1.0);
    double lag = std::numeric_limits<double>::lowest();
    size_t most = sizes.size();
    for (size_t k = 0; k < sizes.size(); ++k) {
      if (given[k] == sizes[k]) continue;
      const double other = static_cast<double>(sizes[k]) / total * at - static_cast<double>(given[k]);
      if (other > lag) lag = other, most = k;
    }
    if (most == sizes.size()) return blend;
    blend.set.push_back(static_cast<int16_t>(most));
    blend.sample.push_back(given[most]++);
  }
}

// numpy's sum of contiguous doubles: plainly up to 7, in eight lanes up to 128, above that by halves.
static double pairwise_sum(const double* values, size_t count) {
  if (count < 8) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) sum += values[i];
    return sum;
  }
  if (count > 128) {
    const size_t half = count / 2 - count / 2 % 8;
    return pairwise_sum(values, half) + pairwise_sum(values + half, count - half);
  }
  double lanes[8];
  std::copy_n(values, 8, lanes);
  size_t i = 8;
  for (; i < count - count % 8; i += 8)
    for (size_t k = 0; k < 8; ++k) lanes[k] += values[i + k];
  double sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  for (; i < count; ++i) sum += values[i];
  return sum;
}

std::vector<double> normalize_weights(const std::vector<double>& weights) {
  const double sum = pairwise_sum(weights.data(), weights.size());
  std::vector<double> shares;
  for (const double weight : weights) shares.push_back(weight / sum);
  return shares;
}

// The numbers in a text, wherever they stand: runs of digits and dots, as Megatron finds them.
static std::vector<double> numbers_in(const std::string& text) {
  static constexpr const char* kNumber = ".0123456789";
  std::vector<double> numbers;
  for (size_t at = text.find_first_of(kNumber); at != std::string::npos; at = text.find_first_of(kNumber, at)) {
    const size_t end = std::min(text.find_first_not_of(kNumber, at), text.size());
    const std::string word = text.substr(at, end - at);
    char* stop = nullptr;
    const double number = std::strtod(word.c_str(), &stop);
    if (stop != word.c_str() + word.size() || !std::isfinite(number))
      throw ConfigError("dataset.split", fmt::format("'{}' in '{}' is no number", word, text), "900,50,50");
    numbers.push_back(number);
    at = end;
  }
  return numbers;
}

std::array<std::optional<SplitShare>, 3> parse_shares(const std::string& split) {
  auto numbers = numbers_in(split);
  if (numbers.empty() || numbers.size() > 3)
    throw ConfigError("dataset.split", fmt::format("expected shares of train, validation and test, got '{}'", split),
                      "900,50,50");
  numbers.resize(3, 0.0);
  if (numbers[0] + numbers[1] + numbers[2] <= 0) throw ConfigError("dataset.split", "the shares are all 0");
  const auto shares = normalize_weights(numbers);
  std::array<std::optional<SplitShare>, 3> splits;
  double from = 0;
  for (size_t i = 0; i < 3; ++i) {
    const double to = from + shares[i];
    if (to > from) splits[i] = SplitShare{from, to, i == 0};
    from = to;
  }
  return splits;
}

}  // namespace automodel::data
