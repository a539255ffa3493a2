#include "automodel/data/read_ahead.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "automodel/base/error.h"

namespace automodel::data {

ReadAhead::ReadAhead(std::shared_ptr<const RowReader> reader, int64_t threads, int64_t ahead)
    : reader_(std::move(reader)), ring_(static_cast<size_t>(std::max(ahead, threads))) {
  for (int64_t i = 0; i < std::max<int64_t>(threads, 1); ++i) threads_.emplace_back([this] { work(); });
}

// Whoever has to wait for a row waits for a few, unless no more come: a wake-up takes as long as a fifth of a row.
bool ReadAhead::worth_waking() const {
  constexpr int64_t kFew = 16;
  const auto slots = static_cast<int64_t>(ring_.size());
  const auto has = [&](int64_t position) { return ring_[static_cast<size_t>(position % slots)].has_value(); };
  return has(next_take_) && (!reading_ || has(next_take_ + std::max<int64_t>(1, std::min(kFew, slots / 2)) - 1));
}

ReadAhead::~ReadAhead() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  room_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ReadAhead::begin(int64_t epoch, int64_t position) {
  {
    std::lock_guard lock(mutex_);
    ++generation_;
    epoch_ = epoch;
    next_read_ = next_take_ = position;
    reading_ = true;
    for (auto& slot : ring_) slot.reset();
  }
  room_.notify_all();
}

void ReadAhead::work() {
  const auto slots = static_cast<int64_t>(ring_.size());
  std::unique_lock lock(mutex_);
  while (true) {
    room_.wait(lock, [&] { return stop_ || (reading_ && next_read_ < next_take_ + slots); });
    if (stop_) return;
    const uint64_t generation = generation_;
    const int64_t epoch = epoch_, position = next_read_++;
    lock.unlock();
    ReadRow row = reader_->read(epoch, position);
    lock.lock();
    if (generation != generation_) continue;
    if (!row.exists || row.error) reading_ = false;  // nothing useful comes after
    ring_[static_cast<size_t>(position % slots)] = std::move(row);
    if (worth_waking()) done_.notify_one();
  }
}

ReadRow ReadAhead::take() {
  std::unique_lock lock(mutex_);
  auto& slot = ring_[static_cast<size_t>(next_take_ % static_cast<int64_t>(ring_.size()))];
  while (!slot) done_.wait_for(lock, std::chrono::milliseconds(20), [&] { return worth_waking(); });
  ReadRow row = std::move(*slot);
  slot.reset();
  ++next_take_;
  lock.unlock();
  room_.notify_one();
  return row;
}

}  // namespace automodel::data
