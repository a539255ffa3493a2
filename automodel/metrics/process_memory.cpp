#include "automodel/metrics/process_memory.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
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

std::optional<double> parse_process_age(std::string_view stat, double uptime, double ticks_per_second,
                                        double at_least) {
  const size_t name_end = stat.rfind(')');  // the name may hold anything
  if (name_end == stat.npos) return std::nullopt;
  std::istringstream fields{std::string(stat.substr(name_end + 1))};
  std::string skipped;
  for (int i = 3; i < 22; ++i) fields >> skipped;
  double ticks = 0;
  if (!(fields >> ticks) || ticks <= 0) return std::nullopt;
  const double age = uptime - ticks / ticks_per_second;
  if (age < at_least - 1 / ticks_per_second || age > at_least + kMaxLoading) return std::nullopt;
  return age;
}

namespace {
struct Beginning {
  std::chrono::steady_clock::time_point instant = std::chrono::steady_clock::now();
  double processor_s = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
};
const Beginning kBeginning;
}  // namespace

double seconds_since_process_start() {
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - kBeginning.instant;
  std::ifstream stat("/proc/self/stat"), uptime("/proc/uptime");
  std::string text;
  double now = 0;
  std::optional<double> age;
  if (std::getline(stat, text) && uptime >> now)
    age = parse_process_age(text, now, static_cast<double>(::sysconf(_SC_CLK_TCK)), since.count());
  return std::max(since.count(), age.value_or(since.count() + kBeginning.processor_s));  // uptime has hundredths alone
}

}  // namespace automodel::metrics
