// Counts what tensors of the CPU take, at libtorch's own allocator. Included by tests only.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

namespace automodel {

/// A test whose tensors are counted: bytes that live now, and the most since somebody set peak_bytes.
class CountedMemory : public testing::Test {
 protected:
  CountedMemory() : before_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(&counting(), 1); }
  ~CountedMemory() override { c10::SetCPUAllocator(before_, 1); }

  static inline std::atomic<int64_t> live_bytes{0}, peak_bytes{0};

 private:
  static constexpr size_t kHeader = 64;  // holds the size; keeps the alignment

  static void count(int64_t bytes) {
    const int64_t now = live_bytes += bytes;
    int64_t peak = peak_bytes;
    while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
    }
  }

  static void give_back(void* data) {
    if (!data) return;
    auto* start = static_cast<char*>(data) - kHeader;
    count(-static_cast<int64_t>(*reinterpret_cast<size_t*>(start)));
    std::free(start);
  }

  struct Counting : c10::Allocator {
    c10::DataPtr allocate(size_t bytes) override {
      auto* start =
          static_cast<char*>(std::aligned_alloc(kHeader, kHeader + (bytes + kHeader - 1) / kHeader * kHeader));
      *reinterpret_cast<size_t*>(start) = bytes;
      count(static_cast<int64_t>(bytes));
      return {start + kHeader, start + kHeader, give_back, at::Device(at::kCPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return give_back; }
    void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
  };
  static Counting& counting() {  // outlives every tensor made through it
    static auto* one = new Counting;
    return *one;
  }

  c10::Allocator* before_;
};

}  // namespace automodel
