// How fast the run goes and how long it will take, from the durations of its last steps.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

namespace automodel::metrics {

class Rates {
 public:
  explicit Rates(size_t window_steps = 50) : window_(window_steps) {}

  /// A step took `seconds` from the end of the step before (data, validation and checkpoints included). The first step
  /// of a process is left out of the window once there are others: it pays for the start.
  void add(double seconds, int64_t tokens, int64_t trained_tokens);

  /// Over the window; 0 before the first step.
  double tokens_per_second() const;
  double trained_tokens_per_second() const;

  /// `steps_left` times the typical step: the mean of the window with every step cut to three times its median, so that
  /// one long pause does not scare and regular validations still count. None before the first step.
  std::optional<double> seconds_left(int64_t steps_left) const;

 private:
  struct Step {
    double seconds;
    int64_t tokens, trained_tokens;
  };
  double total_seconds() const;

  size_t window_;
  std::deque<Step> steps_;
  bool holds_first_ = false;
};

}  // namespace automodel::metrics
