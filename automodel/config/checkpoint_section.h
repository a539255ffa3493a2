// checkpoint: where runs are saved, how often a Hugging Face folder is written, and what is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace automodel::config {

struct CheckpointSection {
  bool enabled = true;
  std::string checkpoint_dir = "checkpoints/";
  std::string save_consolidated = "every";  ///< every, final or false: when model/ is written as a HF folder
  std::string restore_from;                 ///< "": LATEST of the same config; LATEST, a folder's name, or a path
  std::optional<int64_t> max_recent_checkpoints;
  std::string best_metric_key = "default";
  int64_t max_shard_size_bytes = int64_t{5} << 30;
  bool is_async = false;

  template <class F>
  void describe(F& f) {
    f("enabled", enabled, "save at all");
    f("checkpoint_dir", checkpoint_dir, "folder of the run: logs, config.yaml and epoch_E_step_S/");
    f("save_consolidated", save_consolidated,
      "when model/ is written as a Hugging Face folder: every (or true), final, false", "bool|=every|=final");
    f("restore_from", restore_from,
      "checkpoint to go on from: LATEST, a folder's name or a path; null: LATEST of the same config", "string|null");
    f("max_recent_checkpoints", max_recent_checkpoints,
      "how many to keep; LATEST and BEST are never removed; null: all", "int[1,]|null");
    f("best_metric_key", best_metric_key, "name of the validation set whose loss moves BEST", "string");
    f("max_shard_size_bytes", max_shard_size_bytes, "bytes of one safetensors file of model/", "int[1048576,]");
    f("is_async", is_async, "write in the background", "bool");
  }
};

}  // namespace automodel::config
