// Where a run computes.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>
#include <string>

namespace automodel::recipes {

/// "auto": a GPU where one is ready, else the CPU, saying why where a driver is there all the same; "cpu"; "cuda": the
/// first GPU that CUDA_VISIBLE_DEVICES leaves. `key` names the knob in messages. Throws UnsupportedError for "cuda"
/// where no GPU is ready, ConfigError for another word.
at::Device choose_device(const std::string& asked, const std::string& key);

/// The same for arithmetic alone: "cuda" needs no GPU to be there.
at::Device planned_device(const std::string& asked, const std::string& key);

/// Whether tensors can lie on it: true for the CPU, for a GPU where one is ready.
bool is_here(at::Device device);

/// "NVIDIA H200"; "CPU". REQUIRES is_here(device).
std::string device_name(at::Device device);

/// Returns when the device has nothing more to do; at once on the CPU.
void wait_for(at::Device device);

struct DeviceMemory {
  uint64_t allocated;                // by tensors, now
  uint64_t reserved, peak_reserved;  // by the allocator, for tensors and for what it keeps ready
  uint64_t used;                     // of the device by everybody
};
/// Nothing on the CPU.
std::optional<DeviceMemory> device_memory(at::Device device);

/// The most that tensors held at a time on a GPU since the last call; nothing on the CPU.
std::optional<uint64_t> peak_memory_since_last_call(at::Device device);

}  // namespace automodel::recipes
