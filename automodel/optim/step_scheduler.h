// StepScheduler: where the run is, and what is due after each optimizer step. It reads no clock, no data and no signal
// itself; the recipe tells it what happened, so the same calls always give the same answers and a saved position
// continues exactly.
//
// Steps count from 0. After step s of epoch e:
//   checkpoint   s % ckpt_every_steps == ckpt_every_steps - 1, or the epoch ended (save_checkpoint_every_epoch), or it
//   was the
//                last step, or a signal asked to stop
//   validation   s % val_every_steps == val_every_steps - 1, or a checkpoint is due; never when a signal asked to stop
//   last step    s + 1 == max_steps, or the last epoch ended
// Semantics are NeMo AutoModel's StepScheduler, but for one thing: the end of an epoch is what the data say, not a
// count made ahead, so a stream, or packing that gives each epoch another length, ends its epochs where they end.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "automodel/base/json.h"
#include "automodel/config/step_scheduler_section.h"

namespace automodel::optim {

/// What is due after a step.
struct StepEvents {
  int64_t step = 0, epoch = 0;  // of the step that was just made
  bool epoch_end = false, last_step = false;
  bool validate = false, checkpoint = false, log_remote = false, collect_garbage = false;
  bool stopped = false;  // a signal asked to stop: save, and end the run
};

class StepScheduler {
 public:
  /// `dp_size` ranks read different data; `microbatches_per_epoch` is this rank's count, none when it is not known
  /// ahead. Throws ConfigError{"step_scheduler.KEY"}: a size or interval below 1, a global batch that is no multiple of
  /// local_batch_size x dp_size, an unknown epoch length without max_steps.
  StepScheduler(const config::StepSchedulerSection& settings, int64_t dp_size,
                std::optional<int64_t> microbatches_per_epoch);

  int64_t grad_acc_steps() const {
    return grad_acc_steps_;
  }  // microbatches a step; an epoch's last step may have fewer
  std::optional<int64_t> epoch_len() const { return epoch_len_; }  // steps, the last one possibly short
  /// The planned length of the run, for the schedule and the time left: min(max_steps, num_epochs x epoch_len).
  int64_t total_steps() const;

  int64_t step() const { return step_; }    // the step to be made next
  int64_t epoch() const { return epoch_; }  // the epoch that it belongs to
  bool done() const { return stopped_ || step_ >= max_steps_ || epoch_ >= num_epochs_; }

  /// Tells that a step was made: `epoch_end` if the data have no further microbatch in this epoch, `stop` if a signal
  /// asked to stop. Moves on and returns what is due; state() then is the position after the step. REQUIRES !done().
  StepEvents finish_step(bool epoch_end, bool stop);

  /// Tells that an epoch held no (further) microbatch: moves to the next one without a step.
  void skip_to_next_epoch() { ++epoch_; }

  /// {"step": next step, "epoch": its epoch}. restore() throws CheckpointError for anything else.
  Json state() const;
  void restore(const Json& state);

 private:
  config::StepSchedulerSection settings_;
  int64_t grad_acc_steps_ = 1, num_epochs_ = 1, max_steps_ = 1, ckpt_every_steps_ = 1;
  std::optional<int64_t> epoch_len_;
  int64_t step_ = 0, epoch_ = 0;
  bool stopped_ = false;
};

}  // namespace automodel::optim
