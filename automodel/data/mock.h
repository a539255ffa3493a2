// Random tokens for benchmarks: NeMo AutoModel's MockIterableDataset.
#pragma once

#include "automodel/base/random.h"
#include "automodel/data/sample.h"

namespace automodel::data {

/// `count` empty rows, "mock:0" and so on.
std::unique_ptr<Rows> mock_rows(int64_t count);

/// seq_len ids, each uniform in [0, vocab_size), a pure function of (seed, row, place); labels are the next ids, the
/// last position is not trained.
class MockBuilder : public SampleBuilder {
 public:
  MockBuilder(int64_t seq_len, int64_t vocab_size, uint64_t seed);
  Sample build(const Row& row) const override;

 private:
  int64_t seq_len_, vocab_size_;
  RandomKey key_;
};

struct SentenceOptions {
  int64_t vocab_size = 100;  // 0 is <pad>, 1 is <eos>, the rest are words
  double mean_len = 20, std_len = 6;
  int64_t max_sentence_len = 64;
  uint64_t seed = 0;
};

/// NeMo AutoModel's build_unpacked_dataset: a sentence of max(1, min(max_sentence_len, int(normal(mean_len, std_len))))
/// words, uniform in [2, vocab_size), and <eos>; labels are the next ids, the last position is not trained. A pure
/// function of (seed, row); the numbers are not Python's.
class SentenceBuilder : public SampleBuilder {
 public:
  explicit SentenceBuilder(const SentenceOptions& options);
  Sample build(const Row& row) const override;

 private:
  SentenceOptions options_;
};

}  // namespace automodel::data
