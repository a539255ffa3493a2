// From mapped files to a device: through small pinned buffers, by several threads, so that neither the page cache nor
// the bus waits and no second copy of the weights lies in memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>

namespace automodel::checkpoint {

/// Bytes that become a tensor's as they are.
struct DeviceCopy {
  const std::byte* from;
  at::Tensor to;  // contiguous, on a GPU
};

/// Returns when all bytes have arrived. Host memory: 2 pinned buffers of 16 MiB a thread.
void copy_to_device(std::span<const DeviceCopy> copies);

}  // namespace automodel::checkpoint
