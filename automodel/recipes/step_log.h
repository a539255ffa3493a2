// Logs the steps of a run in order, each when its numbers are there. On a GPU that is one step after its launch, so
// that the GPU has work while the host reads.
#pragma once

#include <optional>
#include <utility>

#include "automodel/metrics/logger.h"
#include "automodel/recipes/memory_report.h"
#include "automodel/recipes/train_step.h"

namespace automodel::recipes {

class StepLog {
 public:
  /// All must outlive it. The meter's report follows the first step that is logged.
  StepLog(engine::Engine& engine, optim::StepGuard& guard, metrics::Logger& log, MemoryMeter& meter)
      : engine_(engine), guard_(guard), log_(log), meter_(&meter) {}

  /// `record` holds what is known without waiting. Throws NumericError for a step that went wrong: this one, or on a
  /// GPU the one before.
  void add(LaunchedStep step, metrics::StepRecord record);
  /// Waits for the last step: before anything that must not follow a step gone wrong (validation, a checkpoint).
  void flush();

 private:
  engine::Engine& engine_;
  optim::StepGuard& guard_;
  metrics::Logger& log_;
  MemoryMeter* meter_;  // until it has reported
  std::optional<std::pair<LaunchedStep, metrics::StepRecord>> waiting_;
};

}  // namespace automodel::recipes
