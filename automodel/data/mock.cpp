#include "automodel/data/mock.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "automodel/base/error.h"

namespace automodel::data {
namespace {
class MockRows : public Rows {
 public:
  explicit MockRows(int64_t count) : count_(count) {}
  bool has(int64_t index) override { return index < count_; }
  int64_t size() override { return count_; }
  Row at(int64_t index) override { return {Json::object(), fmt::format("mock:{}", index), index}; }

 private:
  int64_t count_;
};
}  // namespace

std::unique_ptr<Rows> mock_rows(int64_t count) { return std::make_unique<MockRows>(count); }

MockBuilder::MockBuilder(int64_t seq_len, int64_t vocab_size, uint64_t seed)
    : seq_len_(seq_len), vocab_size_(vocab_size), key_{seed} {
  if (seq_len < 2) throw ConfigError("dataset.seq_len", fmt::format("is {}, expected at least 2", seq_len));
  if (vocab_size < 1 || vocab_size > INT32_MAX)
    throw ConfigError("dataset.vocab_size", fmt::format("is {}, expected 1 to 2^31", vocab_size));
}

Sample MockBuilder::build(const Row& row) const {
  Sample sample;
  const RandomKey key = key_.with(static_cast<uint64_t>(row.index));
  for (int64_t t = 0; t < seq_len_; ++t) {
    const auto word = philox(key, static_cast<uint64_t>(t / 4))[static_cast<size_t>(t % 4)];
    sample.ids.push_back(static_cast<int32_t>((uint64_t{word} * static_cast<uint64_t>(vocab_size_)) >> 32));
  }
  sample.labels.assign(sample.ids.begin() + 1, sample.ids.end());
  sample.labels.push_back(kNotTrained);
  return sample;
}

static constexpr double kTwoPi = 6.283185307179586;

/// Appends the sentence of a key.
static void add_sentence(const SentenceOptions& options, const RandomKey& key, std::vector<int32_t>& ids) {
  const double u = uniform(key, 0), v = uniform(key, 1);
  const double normal = std::sqrt(-2 * std::log(1 - u)) * std::cos(kTwoPi * v);
  const double wanted =
      std::clamp(options.mean_len + options.std_len * normal, 1.0, static_cast<double>(options.max_sentence_len));
  for (int64_t i = 0; i < static_cast<int64_t>(wanted); ++i)
    ids.push_back(static_cast<int32_t>(2 + uniform(key, static_cast<uint64_t>(2 + i)) *
                                               static_cast<double>(options.vocab_size - 2)));
  ids.push_back(1);
}

static Sample next_ids(std::vector<int32_t> ids) {
  Sample sample;
  sample.labels.assign(ids.begin() + 1, ids.end());
  sample.labels.push_back(kNotTrained);
  sample.ids = std::move(ids);
  return sample;
}

static void check(const SentenceOptions& options) {
  if (options.vocab_size < 3 || options.vocab_size > INT32_MAX)
    throw ConfigError("dataset.vocab_size", fmt::format("is {}, expected 3 to 2^31", options.vocab_size));
  if (options.max_sentence_len < 1 || options.max_sentence_len > (1 << 26))
    throw ConfigError("dataset.max_sentence_len", fmt::format("is {}, expected 1 to 2^26", options.max_sentence_len));
}

SentenceBuilder::SentenceBuilder(const SentenceOptions& options) : options_(options) { check(options_); }

Sample SentenceBuilder::build(const Row& row) const {
  std::vector<int32_t> ids;
  add_sentence(options_, RandomKey{options_.seed, static_cast<uint64_t>(row.index)}, ids);
  return next_ids(std::move(ids));
}

}  // namespace automodel::data
