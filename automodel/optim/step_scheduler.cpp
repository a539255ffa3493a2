#include "automodel/optim/step_scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"

namespace automodel::optim {
namespace {

constexpr int64_t kMost = int64_t{1} << 53;  // what a JSON number holds exactly

std::string key(const char* name) { return std::string("step_scheduler.") + name; }

void require_positive(const char* name, std::optional<int64_t> value) {
  if (value && (*value < 1 || *value > kMost))
    throw ConfigError(key(name), fmt::format("is {}, expected at least 1", *value));
}

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t product(int64_t a, int64_t b) {
  return a > std::numeric_limits<int64_t>::max() / b ? std::numeric_limits<int64_t>::max() : a * b;
}

bool due(int64_t step, std::optional<int64_t> every) { return every && step % *every == *every - 1; }

void check(const config::StepSchedulerSection& s) {
  require_positive("global_batch_size", s.global_batch_size);
  require_positive("local_batch_size", s.local_batch_size);
  require_positive("num_epochs", s.num_epochs);
  require_positive("max_steps", s.max_steps);
  require_positive("ckpt_every_steps", s.ckpt_every_steps);
  require_positive("val_every_steps", s.val_every_steps);
  require_positive("log_remote_every_steps", s.log_remote_every_steps);
  require_positive("gc_every_steps", s.gc_every_steps);
  if (s.start_step < 0) throw ConfigError(key("start_step"), fmt::format("is {}, expected at least 0", s.start_step));
  if (s.start_epoch < 0)
    throw ConfigError(key("start_epoch"), fmt::format("is {}, expected at least 0", s.start_epoch));
}

}  // namespace

StepScheduler::StepScheduler(const config::StepSchedulerSection& settings, int64_t dp_size,
                             std::optional<int64_t> microbatches_per_epoch)
    : settings_(settings), step_(settings.start_step), epoch_(settings.start_epoch) {
  AM_CHECK(dp_size >= 1, "{}", dp_size);
  check(settings);
  const int64_t together = product(settings.local_batch_size, dp_size);
  if (settings.global_batch_size % together != 0) {
    const int64_t below = settings.global_batch_size / together * together;
    throw ConfigError(
        key("global_batch_size"),
        fmt::format("is {}, expected a multiple of local_batch_size x data-parallel ranks = {} x {} = {}",
                    settings.global_batch_size, settings.local_batch_size, dp_size, together),
        below > 0 ? fmt::format("{} or {} would do", below, below + together) : fmt::format("{} would do", together));
  }
  grad_acc_steps_ = settings.global_batch_size / together;
  if (microbatches_per_epoch) {
    if (*microbatches_per_epoch < 1) throw DataError("dataset", "holds no batch: nothing can be trained");
    epoch_len_ = divide_up(*microbatches_per_epoch, grad_acc_steps_);
  }
  if (!settings.max_steps && !epoch_len_)
    throw ConfigError(key("max_steps"), "is missing, and the length of an epoch is not known ahead (streamed data)",
                      "set step_scheduler.max_steps");
  // A limit that was not asked for is none: epochs end where the data end, even if that is not where a count ahead had
  // them.
  max_steps_ = settings.max_steps.value_or(kMost);
  num_epochs_ = settings.num_epochs;
  ckpt_every_steps_ = settings.ckpt_every_steps.value_or(epoch_len_.value_or(std::max<int64_t>(1, max_steps_ / 2)));
}

int64_t StepScheduler::total_steps() const {
  return epoch_len_ ? std::min(max_steps_, product(*epoch_len_, num_epochs_)) : max_steps_;
}

StepEvents StepScheduler::finish_step(bool epoch_end, bool stop) {
  AM_CHECK(!done(), "step {} of {}", step_, max_steps_);
  StepEvents events;
  events.step = step_;
  events.epoch = epoch_;
  events.epoch_end = epoch_end;
  events.stopped = stop;
  events.last_step = step_ + 1 >= max_steps_ || (epoch_end && epoch_ + 1 >= num_epochs_);
  events.checkpoint =
      due(step_, ckpt_every_steps_) || (epoch_end && settings_.save_checkpoint_every_epoch) || events.last_step || stop;
  events.validate = (due(step_, settings_.val_every_steps) || events.checkpoint) && !stop;
  events.log_remote = step_ % settings_.log_remote_every_steps == 0;
  events.collect_garbage = settings_.gc_every_steps && step_ % *settings_.gc_every_steps == 0;
  ++step_;
  if (epoch_end) ++epoch_;
  stopped_ = stop;
  return events;
}

Json StepScheduler::state() const { return {{"step", step_}, {"epoch", epoch_}}; }

void StepScheduler::restore(const Json& state) {
  const auto read = [&](const char* name) {
    if (!state.is_object() || !state.contains(name) || !state[name].is_number_integer() ||
        state[name].get<int64_t>() < 0 || state[name].get<int64_t>() > kMost)
      throw CheckpointError("step scheduler",
                            fmt::format("'{}' is missing or not a count in {}", name, state.dump().substr(0, 200)));
    return state[name].get<int64_t>();
  };
  const int64_t step = read("step");
  epoch_ = read("epoch");
  step_ = step;
  stopped_ = false;
}

}  // namespace automodel::optim
