#include "automodel/recipes/step_clock.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace automodel::recipes {

StepClock::StepClock(at::Device device) : device_(device) { mark(); }

void StepClock::step_launched() { mark(); }

void StepClock::mark() {
  if (device_.is_cpu()) {
    instants_.push_back(std::chrono::steady_clock::now());
    return;
  }
  const c10::impl::VirtualGuardImpl driver(device_.type());
  events_.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  events_.back().record(driver.getStream(device_));
}

std::vector<double> StepClock::milliseconds(int64_t first) {
  std::vector<double> out;
  if (!events_.empty()) events_.back().synchronize();
  const auto begin = static_cast<size_t>(first);
  for (size_t i = begin; i + 1 < events_.size(); ++i) out.push_back(events_[i].elapsedTime(events_[i + 1]));
  for (size_t i = begin; i + 1 < instants_.size(); ++i)
    out.push_back(std::chrono::duration<double, std::milli>(instants_[i + 1] - instants_[i]).count());
  return out;
}

}  // namespace automodel::recipes
