// What the kernel counts of this process: its memory and its age.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace automodel::metrics {

struct ProcessMemory {
  uint64_t resident_bytes = 0;       // now
  uint64_t peak_resident_bytes = 0;  // at most, since the start
};

/// From /proc/self/status; zeros where the system has no such file.
ProcessMemory read_process_memory();

/// Since the process was started (before main, with the loading of libraries), by the kernel's own word. Where that
/// word cannot be (some sandboxes say that every process started with the machine): since this program's first
/// initialiser, and the processor's time before it, which is what loading from memory takes.
double seconds_since_process_start();

/// The fields VmRSS and VmHWM of such a file's text; zeros for what is not there.
ProcessMemory parse_process_status(std::string_view status);

/// Seconds from the start in /proc/self/stat (field 22, in ticks since boot) to `uptime`; nothing where it is missing,
/// 0 (nothing that a user starts is as old as the machine), or gives less than `at_least` or more than kMaxLoading
/// above it. `at_least` is what this process measured by itself.
std::optional<double> parse_process_age(std::string_view stat, double uptime, double ticks_per_second, double at_least);
inline constexpr double kMaxLoading = 60;  // seconds that a slow disk may need for a gigabyte of libraries

}  // namespace automodel::metrics
