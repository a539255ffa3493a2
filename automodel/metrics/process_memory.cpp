#include "automodel/metrics/process_memory.h"

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "automodel/base/error.h"
#include "automodel/base/file.h"

namespace automodel::metrics {

ProcessMemory parse_process_status(std::string_view status) {
  const auto field = [&](std::string_view name) -> uint64_t {
    for (size_t at = 0; at < status.size();) {
      const size_t end = std::min(status.find('\n', at), status.size());
      std::string_view line = status.substr(at, end - at);
      at = end + 1;
      if (!line.starts_with(name)) continue;
      line.remove_prefix(name.size());
      line.remove_prefix(std::min(line.find_first_of("0123456789"), line.size()));
      uint64_t kib = 0;
      std::from_chars(line.data(), line.data() + line.size(), kib);
      return kib * 1024;
    }
    return 0;
  };
  return {field("VmRSS:"), field("VmHWM:")};
}

ProcessMemory read_process_memory() {
  try {
    return parse_process_status(read_file("/proc/self/status", 1 << 20));
  } catch (const SystemError&) {
    return {};
  }
}

double seconds_since_process_start() {
  std::ifstream stat("/proc/self/stat"), uptime("/proc/uptime");
  std::string text;
  double now = 0;
  if (!std::getline(stat, text) || !(uptime >> now)) return 0;
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string skipped;
  for (int i = 3; i < 22; ++i) fields >> skipped;  // starttime is field 22, in ticks since boot
  double ticks = 0;
  return fields >> ticks ? now - ticks / static_cast<double>(::sysconf(_SC_CLK_TCK)) : 0;
}

}  // namespace automodel::metrics
