#include "automodel/data/mock_packed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "automodel/base/error.h"
#include "automodel/data/megatron_random.h"

namespace automodel::data {

static constexpr int32_t kEndId = 1, kFirstWord = 2;
static constexpr int kMostTries = 1'000'000;  // sentences without a block: it will never be full

static RandomState python_random(int64_t seed) {
  std::vector<uint32_t> words = {static_cast<uint32_t>(seed)};
  if (seed >> 32 != 0) words.push_back(static_cast<uint32_t>(seed >> 32));
  return RandomState(std::span<const uint32_t>(words));
}

namespace {
// random.gauss: two numbers of one draw, the second kept for the next call.
class Gauss {
 public:
  double draw(RandomState& random, double mean, double deviation) {
    if (kept_) return mean + *std::exchange(kept_, std::nullopt) * deviation;
    const double angle = random.uniform() * 2 * M_PI, radius = std::sqrt(-2.0 * std::log(1.0 - random.uniform()));
    kept_ = std::sin(angle) * radius;
    return mean + std::cos(angle) * radius * deviation;
  }

 private:
  std::optional<double> kept_;
};
}  // namespace

std::vector<std::vector<int32_t>> mock_blocks(const MockPackedOptions& options) {
  if (options.vocab_size <= kFirstWord || options.vocab_size > INT32_MAX)
    throw ConfigError("dataset.vocab_size", fmt::format("is {}, expected 3 to 2^31", options.vocab_size));
  RandomState random = python_random(options.seed);
  Gauss gauss;
  const auto words = static_cast<double>(options.vocab_size - kFirstWord);
  std::vector<std::vector<int32_t>> blocks;
  std::vector<int32_t> current;
  for (int tries = 0; static_cast<int64_t>(blocks.size()) < options.num_blocks; ++tries) {
    if (tries == kMostTries)
      throw ConfigError("dataset.block_size",
                        fmt::format("sentences hardly ever fill {} tokens exactly", options.block_size));
    const double drawn = std::clamp(gauss.draw(random, options.mean_len, options.std_len), -1e15, 1e15);
    const int64_t length = std::max<int64_t>(1, std::min(options.max_sentence_len, static_cast<int64_t>(drawn)));
    const auto size = static_cast<int64_t>(current.size());
    if (size + length + 1 > options.block_size) {
      if (size == options.block_size) {
        blocks.push_back(current);
        tries = 0;
      }
      current.clear();
    }
    for (int64_t i = 0; i < length; ++i)
      current.push_back(kFirstWord + static_cast<int32_t>(std::floor(random.uniform() * words)));
    current.push_back(kEndId);
  }
  return blocks;
}

Sample MockPackedBuilder::build(const Row& row) const {
  Sample sample;
  sample.ids = blocks_[static_cast<size_t>(row.index)];
  sample.labels.assign(sample.ids.begin() + 1, sample.ids.end());
  sample.labels.push_back(kNotTrained);
  for (size_t t = 0; t + 1 < sample.ids.size(); ++t)
    if (sample.ids[t] == kEndId) sample.starts.push_back(static_cast<int32_t>(t + 1));
  return sample;
}

}  // namespace automodel::data
