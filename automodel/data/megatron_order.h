// The order of Megatron's GPT data sets: which tokens make up which sample, and how sets are blended.
//
// A sample is a window of sequence_length tokens (and one more, the last target) over the sequences of a file, laid end
// to end in the order of the document index. All three indices come from one RandomState(seed):
//   document index   the sequences of the split once for each epoch, shuffled all together; the last epoch is shuffled
//                    apart when it is needed for less than 80 % of its samples
//   sample index     where each window begins: (place in the document index, tokens into that sequence); one row more
//                    than there are samples
//   shuffle index    the order in which windows are handed out, again with the last epoch apart
// Equal to megatron-core 0.16 and NeMo AutoModel 0.7 (GPTDataset, BlendedDataset), bit for bit.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "automodel/data/megatron_index.h"

namespace automodel::data {

/// Which sequences of a file, and how many samples of them.
struct OrderRequest {
  int64_t first = 0, last = 0;  // sequences [first, last)
  int64_t sequence_length = 2048;
  std::optional<int64_t> samples;  // at least so many, over as many epochs as that takes; not set: one epoch
  uint32_t seed = 1234;
  bool extra_token = true;  // windows share a token with the next, so that inputs and targets are both sequence_length
};

struct EpochPlan {
  int64_t tokens = 0;  // of one epoch
  int64_t epochs = 1;
  bool last_apart = false;
  int64_t samples = 0;              // windows in all epochs
  int64_t samples_before_last = 0;  // windows that begin before the last epoch; counts when last_apart
};

/// Lengths of the request's sequences. Throws DataError for damaged ones.
std::vector<int32_t> sequence_lengths(const MegatronFile& file, const OrderRequest& request);

/// Throws DataError when there are no tokens, or the indices would have more than 2^31 entries.
EpochPlan plan_epochs(const std::vector<int32_t>& lengths, const OrderRequest& request, const std::string& where);

struct OrderIndices {
  std::vector<int32_t> documents;  // [epochs * sequences]
  std::vector<int32_t> samples;    // [samples + 1][2]
  std::vector<uint32_t> shuffle;   // [samples]
};
OrderIndices build_order(const std::vector<int32_t>& lengths, const OrderRequest& request, const EpochPlan& plan);

struct BlendIndices {
  std::vector<int16_t> set;     // which set a sample comes from
  std::vector<int64_t> sample;  // and which of that set it is
};
/// Always the set that lags furthest behind its weight (of sum 1): `size` samples.
BlendIndices blend_by_weight(const std::vector<double>& weights, int64_t size);
/// The same with weights in proportion to `sizes`, until each set has given all it has.
BlendIndices blend_exhaustively(const std::vector<int64_t>& sizes);

/// Weights divided by their sum, added up as numpy does (in pairs).
std::vector<double> normalize_weights(const std::vector<double>& weights);

/// One split's share of the sequences, as fractions; `from_zero`: the lower end is Python's integer 0.
struct SplitShare {
  double from = 0, to = 0;
  bool from_zero = false;
};
/// "900,50,50" as shares of train, validation and test; nothing where a split gets none. Throws ConfigError.
std::array<std::optional<SplitShare>, 3> parse_shares(const std::string& split);

}  // namespace automodel::data
