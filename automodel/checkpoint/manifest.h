// manifest.json: what a checkpoint consists of, with sizes and checksums. It is the last file written into a
// checkpoint, so a folder with a manifest whose files all have their sizes is whole.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "automodel/checkpoint/safetensors_writer.h"

namespace automodel::checkpoint {

struct Manifest {
  int64_t epoch = 0;
  int64_t step = 0;
  std::optional<double> metric;  // of the validation that chose BEST; lower is better
  std::string saved_at;          // UTC
  std::vector<FileRecord> files;
};

/// Lists every file below `folder` and flushes to disk what `known` does not hold (its records are of files already
/// flushed); then writes manifest.json and flushes every folder. Throws SystemError.
void write_manifest(const std::filesystem::path& folder, Manifest manifest, const std::vector<FileRecord>& known);

/// Throws CheckpointError when there is none, or it is damaged or of a later format.
Manifest load_manifest(const std::filesystem::path& folder);

/// The first reason why the checkpoint is not whole (a manifest that is not there, a file that is missing or cut
/// short), or "". Looks at sizes, not at contents: see verify().
std::string why_not_whole(const std::filesystem::path& folder);

/// The checksum of a file's contents.
uint32_t checksum_file(const std::filesystem::path& path);

}  // namespace automodel::checkpoint
