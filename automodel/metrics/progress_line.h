// The texts that a run shows while it goes: plain functions of what happened.
#pragma once

#include <optional>
#include <string>

#include "automodel/metrics/record.h"

namespace automodel::metrics {

/// What is measured around a step.
struct StepSpeed {
  double tps = 0;          // tokens a second in this step, over all ranks
  double tps_per_gpu = 0;  // the same, a rank
  double mem_gib = 0;
  double window_tps = 0, window_trained_tps = 0;  // over the last steps
  double average_loss = 0;                        // over the last steps
  int64_t total_steps = 0;
  std::optional<double> seconds_left;
};

/// NeMo AutoModel's line, with the trained tokens a second and the time left behind it:
/// "step 3 | epoch 0 | loss 1.2345 | grad_norm 0.5000 | lr 1.00e-05 | mem 1.50 GiB | tps 100.00(50.00/gpu) |
///  num_label_tokens 64 | trained_tps 32.00 | left 4:05",
/// with " | NAME VALUE" for extras before trained_tps: whole numbers whole (65536), others to four digits (0.0123).
std::string step_line(const StepRecord& record, const StepSpeed& speed);

/// "[val] name "default" | step 3 | epoch 0 | loss 1.2345 | lr 1.00e-05 | num_label_tokens 64", with " | NAME VALUE"
/// for extras.
std::string validation_line(const ValRecord& record);

/// The line that is redrawn on a terminal, cut to `width` columns:
/// "step 4/100 | loss 1.2345 | 1.2k tokens/s (600 trained) | grad 0.50 | lr 1.00e-05 | 1.50 GiB | 4:05 left"
std::string status_line(const StepRecord& record, const StepSpeed& speed, size_t width);

}  // namespace automodel::metrics
