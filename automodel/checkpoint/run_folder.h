// The folder of a run: its checkpoints `epoch_E_step_S/`, and the links LATEST and BEST.
//
// What a reader finds there is always whole. A checkpoint is written into a hidden folder `.saving-...`, every file and
// folder is flushed to disk, and only then it is renamed to its name; LATEST and BEST are replaced by rename too, after
// that. So a process killed at any point leaves the checkpoints it had, plus perhaps one hidden folder, which the next
// run clears away. A published checkpoint is never written to again. One process at a time writes to a run's folder: a
// lock file holds the others off.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "automodel/checkpoint/manifest.h"

namespace automodel::checkpoint {

/// A published checkpoint.
struct CheckpointEntry {
  std::filesystem::path path;
  int64_t epoch = 0;
  int64_t step = 0;
  std::optional<double> metric;
};

struct RunFolderOptions {
  int64_t max_recent_checkpoints = 0;  // so many newest ones are kept, and what LATEST and BEST name; 0: all are kept
};

/// The writer's side. Not thread-safe; one object a process.
class RunFolder {
 public:
  /// Makes the folder if there is none, takes its lock and clears away what killed runs left. Throws SystemError, or
  /// CheckpointError when another process is writing to it.
  explicit RunFolder(const std::filesystem::path& folder, RunFolderOptions options = {});
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;

  /// Publishes the checkpoint epoch_E_step_S. `write` gets the hidden folder, writes whatever the checkpoint holds and
  /// returns the records of files that it flushed itself (paths relative to that folder; others are flushed here). Then
  /// LATEST moves to it, BEST too if `metric` is a number below BEST's, and old checkpoints go. If `write` throws, or
  /// the disk is full, nothing has changed. Throws CheckpointError when that checkpoint is there already.
  std::filesystem::path save(int64_t epoch, int64_t step, std::optional<double> metric,
                             const std::function<std::vector<FileRecord>(const std::filesystem::path& hidden)>& write);

  /// find_latest() without its warnings, which set_damaged_aside() gives.
  std::optional<CheckpointEntry> latest() const;

  /// Warns, once, about the checkpoints that are not whole; those of `first_step` and later, which a run that makes
  /// that step next comes to again, are renamed to .damaged-epoch_E_step_S. None is removed. Throws SystemError.
  void set_damaged_aside(int64_t first_step);

  const std::filesystem::path& path() const { return folder_; }

 private:
  void clear_leftovers();
  void prepare_link(const std::string& link, const std::string& target);
  void publish_link(const std::string& link);
  bool is_best(double metric) const;
  void remove_old();

  std::filesystem::path folder_;
  RunFolderOptions options_;
  int lock_ = -1;
};

/// The reader's side: what lies in a run's folder now.
struct RunView {
  std::filesystem::path path;
  std::vector<CheckpointEntry> checkpoints;  // whole ones, oldest first
  std::vector<std::string> damaged;          // "epoch_0_step_5: model/config.json is missing"
  std::optional<CheckpointEntry> latest;     // what LATEST names if that is whole, else the newest whole one
  std::optional<CheckpointEntry> best;       // what BEST names, if whole
};

/// Throws CheckpointError for a folder that is not there or holds no checkpoint of a run.
RunView open_run(const std::filesystem::path& folder);

/// The checkpoint to resume from by itself: open_run's latest; none when the folder is not there or holds no checkpoint
/// yet. Warns about damaged ones that are passed over.
std::optional<CheckpointEntry> find_latest(const std::filesystem::path& folder);

/// Whether checkpoints were published in the folder, whole or damaged by now.
bool holds_checkpoints(const std::filesystem::path& folder);

/// checkpoint.restore_from: "LATEST", "BEST", the name of a checkpoint in `folder`, the path of a checkpoint, or the
/// path of another run's folder (its latest). Throws CheckpointError when there is none, or it is not whole.
CheckpointEntry find_checkpoint(const std::filesystem::path& folder, const std::string& restore_from);

/// "epoch_0_step_20".
std::string checkpoint_name(int64_t epoch, int64_t step);

}  // namespace automodel::checkpoint
