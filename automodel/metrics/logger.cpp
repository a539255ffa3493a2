#include "automodel/metrics/logger.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/metrics/process_memory.h"

namespace automodel::metrics {
namespace fs = std::filesystem;
namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;

Json number(std::optional<double> value) { return value && std::isfinite(*value) ? Json(*value) : Json(); }

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double memory_gib(std::optional<uint64_t> device_bytes) {
  return static_cast<double>(device_bytes ? *device_bytes : read_process_memory().resident_bytes) / kGib;
}

size_t terminal_width() {
  struct winsize size {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 120;
}

fs::path made(const fs::path& folder) {
  make_folders(folder);
  return folder;
}

// Scalars that are not finite have no place on a plot.
void add_scalar(std::vector<std::pair<std::string, double>>& scalars, const std::string& tag,
                std::optional<double> value) {
  if (value && std::isfinite(*value)) scalars.emplace_back(tag, *value);
}

}  // namespace

Logger::Logger(LoggerSettings settings)
    : settings_(std::move(settings)), training_(made(settings_.folder) / "training.jsonl", settings_.next_step) {
  for (const auto& entry : fs::directory_iterator(settings_.folder)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with("validation") && name.ends_with(".jsonl"))
      drop_lines_from_step(entry.path(), settings_.next_step);
  }
  if (settings_.tensorboard.enabled) {
    const fs::path folder =
        settings_.tensorboard.dir.empty() ? settings_.folder / "tensorboard" : fs::path(settings_.tensorboard.dir);
    events_ = std::make_unique<EventFile>(folder, settings_.next_step, wall_time());
  }
  last_step_at_ = now();
  last_line_at_ = last_step_at_ - settings_.line_every_seconds;
}

double Logger::now() const {
  if (settings_.clock) return settings_.clock();
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Logger::average_loss(double loss) {
  losses_.push_back(loss);
  while (static_cast<int64_t>(losses_.size()) > settings_.loss_average_window_steps) losses_.pop_front();
  return std::accumulate(losses_.begin(), losses_.end(), 0.0) / static_cast<double>(losses_.size());
}

void Logger::log_train(const StepRecord& record) {
  const double at = now();
  const double seconds = std::max(at - last_step_at_, 1e-9);
  last_step_at_ = at;
  rates_.add(seconds, record.num_tokens_per_step, record.num_label_tokens);
  speed_.tps = static_cast<double>(record.num_tokens_per_step) / seconds;
  speed_.tps_per_gpu = speed_.tps / static_cast<double>(settings_.ranks);
  speed_.mem_gib = memory_gib(record.memory_bytes);
  speed_.window_tps = rates_.tokens_per_second();
  speed_.window_trained_tps = rates_.trained_tokens_per_second();
  speed_.average_loss = average_loss(record.loss);
  speed_.total_steps = settings_.total_steps;
  speed_.seconds_left = rates_.seconds_left(settings_.total_steps - record.step - 1);

  Json line = {{"step", record.step},
               {"epoch", record.epoch},
               {"timestamp", timestamp_utc()},
               {"loss", number(record.loss)},
               {"grad_norm", number(record.grad_norm)},
               {"lr", number(record.lr)},
               {"mem", number(speed_.mem_gib)},
               {"tps", number(speed_.tps)},
               {"tps_per_gpu", number(speed_.tps_per_gpu)},
               {"mfu", number(record.mfu)},
               {"num_tokens_per_step", record.num_tokens_per_step},
               {"num_label_tokens", record.num_label_tokens}};
  for (const auto& [name, value] : record.extra) line[name] = number(value);
  training_.append(line);

  if (events_ && record.log_remote) {
    std::vector<std::pair<std::string, double>> scalars;
    for (const auto& [name, value] : line.items())
      if (value.is_number() && name != "step") add_scalar(scalars, "train/" + name, value.get<double>());
    events_->add(record.step, wall_time(), scalars);
  }
  show(record);
}

void Logger::show(const StepRecord& record) {
  const bool last = record.step + 1 >= settings_.total_steps;
  if (!stderr_is_terminal()) {
    log_info(step_line(record, speed_));
    return;
  }
  if (last || last_step_at_ - last_line_at_ >= settings_.line_every_seconds) {
    log_info(step_line(record, speed_));
    last_line_at_ = last_step_at_;
  }
  if (!last) log_status(status_line(record, speed_, terminal_width()));
}

JsonLines& Logger::validation_file(const std::string& name) {
  const auto found = validations_.find(name);
  if (found != validations_.end()) return found->second;
  if (name.find('/') != std::string::npos || name.empty())
    throw ConfigError("validation_dataset", fmt::format("its name '{}' cannot name a file", name));
  const auto file = settings_.folder / (name == "default" ? "validation.jsonl" : "validation_" + name + ".jsonl");
  return validations_.try_emplace(name, file, std::numeric_limits<int64_t>::max()).first->second;
}

void Logger::log_validation(const ValRecord& record) {
  Json line = {{"step", record.step},
               {"epoch", record.epoch},
               {"timestamp", timestamp_utc()},
               {"val_loss", number(record.val_loss)},
               {"lr", number(record.lr)},
               {"num_label_tokens", record.num_label_tokens},
               {"mem", number(memory_gib(record.memory_bytes))}};
  for (const auto& [name, value] : record.extra) line[name] = number(value);
  validation_file(record.name).append(line);
  if (events_) {
    const std::string prefix = record.name == "default" ? "val/" : "val/" + record.name + "/";
    std::vector<std::pair<std::string, double>> scalars;
    add_scalar(scalars, prefix + "loss", record.val_loss);
    for (const auto& [name, value] : record.extra) add_scalar(scalars, prefix + name, value);
    events_->add(record.step, wall_time(), scalars);
  }
  log_info(validation_line(record));
}

void Logger::close() {
  if (std::exchange(closed_, true)) return;
  finish_status();
}

}  // namespace automodel::metrics
