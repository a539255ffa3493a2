// How long the host takes for a step: what a GPU has to hide.
#pragma once

#include <chrono>
#include <functional>

#include "automodel/nn/block.h"

namespace automodel::engine {

/// The policy of an engine whose steps are timed for the host alone. A step's launches fill a GPU's queue after about a
/// thousand, and then each waits for the GPU: the time in which a whole step is launched is the GPU's own. So this
/// waits for the GPU around every run of a block, which keeps the queue short, and does not count those waits. For
/// steps made to be measured: others must not wait.
class HostClock : public nn::BlockPolicy {
 public:
  /// `wait` returns when the device has nothing more to do.
  explicit HostClock(std::function<void()> wait) : wait_(std::move(wait)) {}

  void start();  // waits, then counts from 0
  /// Since start(), without the waits.
  double milliseconds() const;

  void acquire(nn::Block&) override { wait(); }
  void release(nn::Block&) override { wait(); }

 private:
  using Clock = std::chrono::steady_clock;
  void wait();

  std::function<void()> wait_;
  Clock::time_point began_{};
  Clock::duration waited_{};
};

}  // namespace automodel::engine
