#include "automodel/metrics/rates.h"

#include <algorithm>
#include <vector>

namespace automodel::metrics {

void Rates::add(double seconds, int64_t tokens, int64_t trained_tokens) {
  if (steps_.empty()) {
    holds_first_ = true;
  } else if (holds_first_ || steps_.size() == window_) {
    steps_.pop_front();
    holds_first_ = false;
  }
  steps_.push_back({std::max(seconds, 1e-9), tokens, trained_tokens});
}

double Rates::total_seconds() const {
  double total = 0;
  for (const auto& step : steps_) total += step.seconds;
  return total;
}

double Rates::tokens_per_second() const {
  int64_t tokens = 0;
  for (const auto& step : steps_) tokens += step.tokens;
  return steps_.empty() ? 0 : static_cast<double>(tokens) / total_seconds();
}

double Rates::trained_tokens_per_second() const {
  int64_t tokens = 0;
  for (const auto& step : steps_) tokens += step.trained_tokens;
  return steps_.empty() ? 0 : static_cast<double>(tokens) / total_seconds();
}

std::optional<double> Rates::seconds_left(int64_t steps_left) const {
  if (steps_.empty()) return std::nullopt;
  std::vector<double> seconds;
  for (const auto& step : steps_) seconds.push_back(step.seconds);
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  const double limit = 3 * *middle;
  double total = 0;
  for (const double s : seconds) total += std::min(s, limit);
  return total / static_cast<double>(seconds.size()) * static_cast<double>(std::max<int64_t>(steps_left, 0));
}

}  // namespace automodel::metrics
