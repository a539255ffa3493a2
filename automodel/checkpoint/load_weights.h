// Fills a model's parameters from a Hugging Face checkpoint: by name, checked, converted, in one pass over the mapped
// files.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "automodel/checkpoint/weight_source.h"
#include "automodel/tensor/parameter.h"

namespace automodel::checkpoint {

struct LoadOptions {
  /// Names in the file that the model may leave unread, with '*' for any run of characters: "*.rotary_emb.inv_freq",
  /// "lm_head.weight" where it is tied. They match the name as stored or with a prefix of the source before it.
  std::vector<std::string> ignore;
  bool check_finite = true;
  /// Which parameters whose bytes lie in the file as they are needed (same dtype, one piece, not transposed) stay in
  /// the file's mapping: no copy, no private memory. They must never be written to.
  enum class Map { None, Frozen, All } map = Map::None;
};

struct LoadReport {
  int64_t tensors = 0;               // read
  uint64_t bytes = 0;                // of them, in the file
  uint64_t mapped_bytes = 0;         // left in the file
  std::vector<std::string> ignored;  // in the file, not read, as the options allow
};

/// Reads every slice of every parameter. Parameters without storage are allocated on the CPU first; others keep theirs,
/// on any device. Floating dtypes are converted to the parameter's, with threads (at::parallel_for). Throws
/// CheckpointError, before anything is read, that lists up to five tensors which are missing, which nothing reads (and
/// nothing ignores), whose shape is another ("expected [4096, 1024], the file has [1024, 4096]") or whose dtype is not
/// floating; after reading, one that names the tensors with NaN or Inf (the parameters' contents are then unspecified).
LoadReport load_weights(std::span<const ParameterPtr> parameters, const WeightSource& source,
                        const LoadOptions& options = {});

}  // namespace automodel::checkpoint
