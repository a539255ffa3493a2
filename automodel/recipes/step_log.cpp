#include "automodel/recipes/step_log.h"

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
  const auto numbers = read_step(engine_, step);
  record.loss = numbers.loss;
  record.grad_norm = numbers.grad_norm;
  record.memory_bytes = peak_memory_since_last_call(engine_.model().device);
  if (meter_ && record.memory_bytes) {
    if (const auto report = meter_->report(*record.memory_bytes)) log_info("GPU memory: " + report->text());
    meter_->stop();
    meter_ = nullptr;
  }
  log_.log_train(record);
}

}  // namespace automodel::recipes
