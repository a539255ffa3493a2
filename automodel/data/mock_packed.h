// Random sentences laid into blocks: NeMo AutoModel's build_packed_dataset, with its numbers (Python's random).
#pragma once

#include "automodel/data/sample.h"

namespace automodel::data {

struct MockPackedOptions {
  int64_t num_blocks = 10, block_size = 128;
  double mean_len = 20, std_len = 6;  // tokens of a sentence, normally distributed, before its end token
  int64_t vocab_size = 100, max_sentence_len = 64, seed = 0;
};

/// The blocks: sentences one after another, each closed by the id 1; what does not fill a block exactly is dropped, as
/// there. Throws ConfigError for sizes that give no block.
std::vector<std::vector<int32_t>> mock_blocks(const MockPackedOptions& options);

/// Rows and samples of them. A sentence is a document of its own; labels are the next ids within the block, where NeMo
/// AutoModel's are the ids themselves.
class MockPackedBuilder : public SampleBuilder {
 public:
  explicit MockPackedBuilder(const MockPackedOptions& options) : blocks_(mock_blocks(options)) {}
  Sample build(const Row& row) const override;
  int64_t blocks() const { return static_cast<int64_t>(blocks_.size()); }

 private:
  std::vector<std::vector<int32_t>> blocks_;
};

}  // namespace automodel::data
