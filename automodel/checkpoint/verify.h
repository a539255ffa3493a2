// Looking at checkpoints without training: is everything there and unharmed (verify), and what is it (info).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::checkpoint {

struct VerifyReport {
  std::string kind;  // "run", "checkpoint", "model", "adapter", "file"
  int64_t files = 0;
  int64_t checksums = 0;  // compared with recorded ones
  int64_t tensors = 0;
  uint64_t bytes = 0;
  std::vector<std::string> faults;  // "file: what is wrong"; empty: all is well
  std::vector<std::string> notes;   // what is no fault: files that no manifest records, no checksums to compare

  bool ok() const { return faults.empty(); }
  Json to_json() const;
};

/// Reads everything below `path`: a run's folder (all its checkpoints), a checkpoint, a model or adapter folder, or one
/// .safetensors file. Compares sizes and checksums with the manifest where there is one, opens every safetensors file,
/// resolves every index, parses every JSON file. Faults are collected, not thrown; a path with nothing to verify is a
/// CheckpointError.
VerifyReport verify(const std::filesystem::path& path);

/// A summary for people and scripts: {"kind", "path", "bytes", ...}; for weights {"tensors", "parameters", "dtypes":
/// {"BF16": parameters}, "files"}, with "model_type" from config.json; for a checkpoint {"epoch", "step", "metric",
/// "saved_at", "model", "state"}; for a run {"checkpoints": [...], "latest", "best", "damaged"}. Reads headers only.
/// Throws CheckpointError.
Json info(const std::filesystem::path& path);

}  // namespace automodel::checkpoint
