#include "automodel/engine/host_clock.h"

namespace automodel::engine {

void HostClock::start() {
  wait_();
  began_ = Clock::now(), waited_ = {};
}

double HostClock::milliseconds() const {
  return std::chrono::duration<double, std::milli>(Clock::now() - began_ - waited_).count();
}

void HostClock::wait() {
  const auto before = Clock::now();
  wait_();
  waited_ += Clock::now() - before;
}

}  // namespace automodel::engine
