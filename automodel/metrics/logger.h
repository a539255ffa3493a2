// Logger: everything a run tells about itself, behind two calls. Writes training.jsonl, validation*.jsonl and
// TensorBoard events into the run's folder, and progress to standard error. Made by the first rank only; not
// thread-safe.
//
// training.jsonl    {step, epoch, timestamp, loss, grad_norm, lr, mem, tps, tps_per_gpu, mfu, num_tokens_per_step,
//                    num_label_tokens, extras...}
// validation.jsonl, validation_NAME.jsonl
//                   {step, epoch, timestamp, val_loss, lr, num_label_tokens, mem, extras...}
// as NeMo AutoModel names them: mem in GiB, tps = tokens / seconds since the step before (data, validation and
// checkpoints included), timestamp in UTC. A line is in the kernel's hands before the call returns. On resume the files
// continue; what a crashed run wrote of steps from `next_step` on is dropped first, so that a file tells one history.
// TensorBoard tags: train/loss, train/grad_norm, ...; val/loss for the default set, val/NAME/loss for others.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "automodel/config/logger_sections.h"
#include "automodel/metrics/event_file.h"
#include "automodel/metrics/json_lines.h"
#include "automodel/metrics/progress_line.h"
#include "automodel/metrics/rates.h"
#include "automodel/metrics/record.h"

namespace automodel::metrics {

struct LoggerSettings {
  std::filesystem::path folder;            // of the run: checkpoint.checkpoint_dir
  int64_t next_step = 0;                   // the first step that will be logged (0, or where the run resumes)
  int64_t total_steps = 0;                 // StepScheduler::total_steps()
  int64_t ranks = 1;                       // data-parallel x context-parallel, the divisor of tps_per_gpu
  int64_t loss_average_window_steps = 50;  // for the shown loss
  config::TensorboardSection tensorboard;
  double line_every_seconds = 10;  // on a terminal: between the lines that stay above the status line
  std::function<double()> clock;   // seconds, monotonic; none: the system's. For tests
};

class Logger {
 public:
  /// Throws SystemError if the folder or its files cannot be written, ConfigError for an unusable TensorBoard folder.
  explicit Logger(LoggerSettings settings);

  /// After each optimizer step. A loss that is not finite is written as null.
  void log_train(const StepRecord& record);
  /// After each validation set.
  void log_validation(const ValRecord& record);
  /// Ends the status line. Called by the destructor too.
  void close();
  ~Logger() { close(); }
  Logger(const Logger&) = delete;

  /// Of the last log_train.
  const StepSpeed& speed() const { return speed_; }

 private:
  double now() const;
  double average_loss(double loss);
  void show(const StepRecord& record);
  JsonLines& validation_file(const std::string& name);

  LoggerSettings settings_;
  JsonLines training_;
  std::map<std::string, JsonLines> validations_;
  std::unique_ptr<EventFile> events_;
  Rates rates_;
  StepSpeed speed_;
  std::deque<double> losses_;
  double last_step_at_ = 0, last_line_at_ = 0;
  bool closed_ = false;
};

}  // namespace automodel::metrics
