// What the kernel counts of this process: its memory and its age.
#pragma once

#include <cstdint>
#include <string_view>

namespace automodel::metrics {

struct ProcessMemory {
  uint64_t resident_bytes = 0;       // now
  uint64_t peak_resident_bytes = 0;  // at most, since the start
};

/// From /proc/self/status; zeros where the system has no such file.
ProcessMemory read_process_memory();

/// Since the process was started (before main, with the loading of libraries); 0 where the system does not say.
double seconds_since_process_start();

/// The fields VmRSS and VmHWM of such a file's text; zeros for what is not there.
ProcessMemory parse_process_status(std::string_view status);

}  // namespace automodel::metrics
