// step_scheduler: how many samples make a step, how long the run is, and what happens at which step.
//
// Source: NeMo AutoModel's StepScheduler. Periodic events fire after step s (from 0) when s % n == n - 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace automodel::config {

struct StepSchedulerSection {
  int64_t global_batch_size = 32;
  int64_t local_batch_size = 1;
  int64_t num_epochs = 10;
  std::optional<int64_t> max_steps;
  std::optional<int64_t> ckpt_every_steps = 100;
  bool save_checkpoint_every_epoch = true;
  std::optional<int64_t> val_every_steps;
  int64_t log_remote_every_steps = 1;
  int64_t loss_average_window_steps = 50;
  std::optional<int64_t> gc_every_steps;
  int64_t start_step = 0;
  int64_t start_epoch = 0;
  std::vector<std::string> preemption_signal = {"SIGTERM"};

  template <class F>
  void describe(F& f) {
    f("global_batch_size", global_batch_size, "samples in one optimizer step, over all ranks", "int[1,]");
    f("local_batch_size", local_batch_size,
      "samples in one microbatch of one rank; global_batch_size must be a multiple", "int[1,]");
    f("num_epochs", num_epochs, "passes over the data set; the run ends here or at max_steps, whichever comes first",
      "int[1,]");
    f("max_steps", max_steps, "optimizer steps after which the run ends; null: only num_epochs ends it",
      "int[1,]|null");
    f("ckpt_every_steps", ckpt_every_steps, "steps between checkpoints; null: the length of an epoch, or max_steps / 2",
      "int[1,]|null");
    f("save_checkpoint_every_epoch", save_checkpoint_every_epoch, "also save at the end of each epoch");
    f("val_every_steps", val_every_steps, "steps between validations; null: only with each checkpoint", "int[1,]|null");
    f("log_remote_every_steps", log_remote_every_steps,
      "steps between lines sent to W&B, MLflow, Comet and TensorBoard", "int[1,]");
    f("loss_average_window_steps", loss_average_window_steps, "steps in the moving average of the shown loss",
      "int[1,]");
    f("gc_every_steps", gc_every_steps, "steps between Python garbage collections", "int[1,]|null");
    f("start_step", start_step, "number of the first step of a fresh run", "int[0,]");
    f("start_epoch", start_epoch, "number of the first epoch of a fresh run", "int[0,]");
    f("preemption_signal", preemption_signal,
      "signals after which the run saves and ends: names or numbers; null: none",
      "string|int[1,64]|list<string|int[1,64]>|null");
  }
};

}  // namespace automodel::config
