// The samples of NeMo AutoModel's MegatronPretraining data set: Megatron's .bin/.idx files in Megatron's own order.
#pragma once

#include <memory>

#include "automodel/data/megatron_blend.h"
#include "automodel/data/megatron_order.h"
#include "automodel/data/token_windows.h"

namespace automodel::data {

struct MegatronOptions {
  MegatronPaths paths;
  std::string split = "900,50,50";  // shares of train, validation and test; with paths for each split not looked at
  size_t part = 0;                  // which of them: 0 train, 1 validation, 2 test
  /// Samples to draw (max_steps * global_batch_size); not set: one epoch. Blends with weights need it.
  std::optional<int64_t> samples;
  int64_t sequence_length = 2048;
  int64_t seed = 1234;
  bool extra_token = true;
  /// Where the order is kept; "": beside each set in PREFIX/cache/GPTDataset_indices, and that of a blend nowhere.
  std::string cache_folder;
  std::string tokenizer;  // as the recipe names it: part of the cached order's description
};

/// Opens the split of `options.part`, from a cached order where there is one. Throws ConfigError, DataError,
/// SystemError, UnsupportedError.
std::shared_ptr<const TokenWindows> open_megatron(const MegatronOptions& options);

}  // namespace automodel::data
