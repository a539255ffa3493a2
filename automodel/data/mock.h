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

}  // namespace automodel::data
