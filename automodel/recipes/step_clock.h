// How long steps take on their device: on a GPU by events between them, so that nobody waits for a step to be timed.
#pragma once

#include <c10/core/Event.h>

#include <chrono>
#include <vector>

namespace automodel::recipes {

class StepClock {
 public:
  /// Starts now.
  explicit StepClock(at::Device device);
  /// After each step, launched on the device's current stream.
  void step_launched();
  /// Milliseconds of the steps from number `first` on, each from the end of the one before to its own; waits for the
  /// last.
  std::vector<double> milliseconds(int64_t first);

 private:
  using Instant = std::chrono::steady_clock::time_point;
  void mark();

  at::Device device_;
  std::vector<c10::Event> events_;  // GPU
  std::vector<Instant> instants_;   // CPU
};

}  // namespace automodel::recipes
