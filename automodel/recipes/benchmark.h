// The benchmark recipe: how fast training goes, on random tokens, without clipping, schedule, validation or
// checkpoints, as NeMo AutoModel's benchmark recipe runs.
#pragma once

#include <optional>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/config/recipe_config.h"
#include "automodel/optim/memory.h"
#include "automodel/recipes/memory_report.h"
#include "automodel/recipes/profile.h"

namespace automodel::recipes {

struct BenchmarkResult {
  std::string model;            // as it was named: a Hub id, a folder or a config.json
  bool bundled_config = false;  // its config.json is the program's own (models/known_models.h)
  bool random_weights = false;
  std::string device;  // "NVIDIA H200", "cpu"
  int64_t parameters = 0, trained_parameters = 0;
  int64_t steps = 0;  // that were counted, after the warm-up
  int64_t tokens_per_step = 0;
  double flops_per_token = 0;                                // models/flops.h
  double median_ms = 0, p95_ms = 0, min_ms = 0, max_ms = 0;  // of a step
  std::optional<double> host_ms;                             // of the host for a step, waits left out; on a GPU
  double first_step_s = 0, start_to_first_step_s = 0;  // the first one alone; from the start of the process to its end
  uint64_t peak_memory_bytes = 0;                      // of the GPU's tensors; of the process on the CPU
  optim::TrainingMemory kept;                          // of them from step to step; what else there is: working_bytes()
  std::optional<MemoryReport> memory;                  // by kind, counted; on a GPU
  std::string recompute;                               // "none", "selective", "full": as asked, or as auto chose
  double first_loss = 0, last_loss = 0;
  std::optional<int64_t> skipped_steps;   // of all, the warm-up's too; where steps can be skipped (optim/step_guard.h)
  std::optional<double> peak_tflops;      // benchmark.peak_tflops, or what is known of the GPU (gpu_peak.h)
  std::optional<ProfileSummary> profile;  // of three further steps, where benchmark.profile_path is set
  std::optional<SystemError> unsaved;     // why the trace or the summary was not written, where one was not

  double tokens_per_second() const { return static_cast<double>(tokens_per_step) / median_ms * 1000; }
  double tflops() const { return tokens_per_second() * flops_per_token / 1e12; }
  /// Activations and workspace; on the CPU also what the program takes without a model.
  uint64_t working_bytes() const { return std::max(peak_memory_bytes, kept.total()) - kept.total(); }
  /// tflops() as a share of the peak; nothing where that is not known.
  std::optional<double> mfu() const { return peak_tflops ? std::optional(tflops() / *peak_tflops) : std::nullopt; }
  std::string model_text() const;  // "meta-llama/Llama-3.1-8B, by the config.json bundled for this id, random weights"
  Json json() const;
  std::string text() const;
};

/// Runs step_scheduler.max_steps steps, of which benchmark.warmup_steps are not counted, then three more under the
/// profiler if benchmark.profile_path is set, and writes the summary to benchmark.json_output_path if that is set. A
/// step's time is the device's own, between the ends of two steps. On a GPU three steps in between measure the host
/// alone (engine/host_clock.h): the GPU hides it as long as it is less than a step. These further steps take the last
/// step's microbatches again. Throws ConfigError when no step is left to count or a file
/// named for output cannot be written (before the model is made), DataError when the data end before,
/// NumericError for a step that went wrong and is not to be skipped.
BenchmarkResult benchmark(const config::RecipeConfig& config);

}  // namespace automodel::recipes
