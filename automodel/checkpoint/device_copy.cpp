#include "automodel/checkpoint/device_copy.h"

#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <thread>
#include <vector>

namespace automodel::checkpoint {
namespace {

constexpr int64_t kBufferBytes = 16 << 20;
constexpr size_t kThreads = 8;  // more than one memory channel can serve, fewer than a node's ranks would quarrel about

struct Piece {
  const std::byte* from;
  at::Tensor to;  // bytes
};

std::vector<Piece> cut(std::span<const DeviceCopy> copies) {
  std::vector<Piece> pieces;
  for (const auto& copy : copies) {
    const auto bytes = copy.to.view({-1}).view(at::kByte);
    for (int64_t begin = 0; begin < bytes.numel(); begin += kBufferBytes)
      pieces.push_back({copy.from + begin, bytes.narrow(0, begin, std::min(kBufferBytes, bytes.numel() - begin))});
  }
  return pieces;
}

// Fills one buffer while the other is on its way.
void run_thread(const std::vector<Piece>& pieces, std::atomic<size_t>& next, at::Device device) {
  at::NoGradGuard guard;
  const c10::impl::VirtualGuardImpl driver(device.type());
  driver.setDevice(device);
  const auto stream = driver.getStream(device);
  struct Buffer {
    at::Tensor bytes = at::empty({kBufferBytes}, at::TensorOptions(at::kByte).pinned_memory(true));
    c10::Event sent{c10::DeviceType::CUDA};
  };
  Buffer buffers[2];
  for (size_t turn = 0;; ++turn) {
    const size_t i = next++;
    if (i >= pieces.size()) break;
    auto& buffer = buffers[turn % 2];
    if (turn >= 2) buffer.sent.synchronize();
    const auto size = pieces[i].to.numel();
    std::memcpy(buffer.bytes.mutable_data_ptr(), pieces[i].from, static_cast<size_t>(size));
    pieces[i].to.copy_(buffer.bytes.narrow(0, 0, size), true);
    buffer.sent.record(stream);
  }
  driver.synchronizeStream(stream);
}

}  // namespace

void copy_to_device(std::span<const DeviceCopy> copies) {
  const auto pieces = cut(copies);
  if (pieces.empty()) return;
  const auto device = pieces.front().to.device();
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> faults(std::min(kThreads, pieces.size()));
  for (auto& fault : faults)
    threads.emplace_back([&] {
      try {
        run_thread(pieces, next, device);
      } catch (...) {
        fault = std::current_exception();
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& fault : faults)
    if (fault) std::rethrow_exception(fault);
}

}  // namespace automodel::checkpoint
