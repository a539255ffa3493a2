#include "automodel/recipes/step_log.h"

#include <cmath>

#include "automodel/base/log.h"
#include "automodel/recipes/device.h"

namespace automodel::recipes {

void StepLog::add(LaunchedStep step, metrics::StepRecord record) {
  flush();
  record.num_tokens_per_step = step.tokens;
  record.num_label_tokens = step.trained_tokens;
  waiting_.emplace(std::move(step), std::move(record));
  if (engine_.model().device.is_cpu()) flush();
}

void StepLog::flush() {
  if (!waiting_) return;
  auto [step, record] = *std::exchange(waiting_, std::nullopt);
  const auto numbers = read_step(engine_, step, guard_);
  if (!numbers.skipped.empty()) log_warning("a step was skipped: " + numbers.skipped);
  guard_.count_step(step.step, !numbers.skipped.empty());
  record.loss = numbers.loss;
  if (std::isfinite(numbers.grad_norm)) record.grad_norm = numbers.grad_norm;
  record.memory_bytes = peak_memory_since_last_call(engine_.model().device);
  if (meter_ && record.memory_bytes) {
    if (const auto report = meter_->report(*record.memory_bytes)) log_info("GPU memory: " + report->text());
    meter_->stop();
    meter_ = nullptr;
  }
  if (numbers.loss_scale) record.extra["loss_scale"] = *numbers.loss_scale;
  if (guard_.can_skip()) record.extra["skipped_steps"] = static_cast<double>(guard_.skipped_steps());
  log_.log_train(record);
}

}  // namespace automodel::recipes
