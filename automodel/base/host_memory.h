// What the machine has left for a process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace automodel {

/// Bytes that can be taken before the kernel ends a process for want of memory: MemAvailable, or what is left of the
/// control groups (version 2) that this process is in, whichever is least; pages of files count as free, swap does
/// not. Nothing where /proc does not tell. `root` is the file system's, another one in tests.
std::optional<uint64_t> free_host_memory(const std::filesystem::path& root = "/");

}  // namespace automodel
