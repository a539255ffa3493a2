#include "automodel/data/mock.h"

#include <fmt/format.h>

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

}  // namespace automodel::data
