#include "automodel/recipes/device.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/kernels/cuda/library.h"

namespace automodel::recipes {

at::Device choose_device(const std::string& asked, const std::string& key) {
  if (asked == "cpu") return at::kCPU;
  if (asked != "auto" && asked != "cuda")
    throw ConfigError(key, fmt::format("expected auto, cpu or cuda, got '{}'", asked));
  const auto& cuda = kernels::load_cuda();
  if (asked == "cuda") kernels::require_cuda(key);
  if (!cuda.ready) {
    if (cuda.driver) log_warning(fmt::format("this runs on the CPU: {}; {}", cuda.reason, cuda.hint));
    return at::kCPU;
  }
  return at::Device(at::kCUDA, 0);
}

at::Device planned_device(const std::string& asked, const std::string& key) {
  return asked == "cuda" ? at::Device(at::kCUDA, 0) : choose_device(asked, key);
}

bool is_here(at::Device device) { return device.is_cpu() || kernels::load_cuda().ready; }

std::string device_name(at::Device device) {
  return device.is_cpu() ? "CPU" : kernels::load_cuda().gpus.at(static_cast<size_t>(device.index())).name;
}

void wait_for(at::Device device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

std::optional<DeviceMemory> device_memory(at::Device device) {
  if (device.is_cpu()) return std::nullopt;
  auto* allocator = at::getDeviceAllocator(device.type());
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const auto stats = allocator->getDeviceStats(device.index());
  const auto [free, total] = allocator->getMemoryInfo(device.index());
  return DeviceMemory{.allocated = static_cast<uint64_t>(stats.allocated_bytes[all].current),
                      .reserved = static_cast<uint64_t>(stats.reserved_bytes[all].current),
                      .peak_reserved = static_cast<uint64_t>(stats.reserved_bytes[all].peak),
                      .used = total - free};
}

std::optional<uint64_t> peak_memory_since_last_call(at::Device device) {
  if (device.is_cpu()) return std::nullopt;
  auto* allocator = at::getDeviceAllocator(device.type());
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const auto peak = allocator->getDeviceStats(device.index()).allocated_bytes[all].peak;
  allocator->resetPeakStats(device.index());
  return static_cast<uint64_t>(peak);
}

}  // namespace automodel::recipes
