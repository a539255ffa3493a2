// Runs side by side: losses step by step, how far they differ, and how fast they went; the core of `automodel compare`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::metrics {

/// What training.jsonl of a run says, ours or NeMo AutoModel's; a step that was logged twice counts as logged last.
struct RunHistory {
  struct Step {
    std::optional<double> loss, tps, mem, grad_norm;
  };
  std::filesystem::path path;
  std::map<int64_t, Step> steps;
};

/// `run` is the folder, or a .jsonl file itself. Throws DataError: no such file ("is no run"), no record, or
/// {file:line} for a line that is no record; a torn last line is left out.
RunHistory load_run(const std::filesystem::path& run);

/// {"runs": [{"path", "steps", "first_step", "last_step", "first_loss", "final_loss", "lowest_loss", "median_tps",
/// "peak_mem_gib"}],
///  "compared": [{"run": index, "steps": common with run 0, "max_difference", "max_relative", "at_step", "equal"}],
///  "rows": [{"step", "losses": [one a run, or null]}]}
/// Differences are to the first run, over the steps that both have. Needs at least one run.
Json compare_runs(const std::vector<RunHistory>& runs);

/// The same for people: at most `max_rows` of the steps, evenly spread, with the first and the last.
std::string comparison_text(const Json& comparison, size_t max_rows = 20);

}  // namespace automodel::metrics
