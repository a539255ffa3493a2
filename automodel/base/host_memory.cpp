#include "automodel/base/host_memory.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

namespace automodel {
namespace {

// The number behind `name` in lines of "NAME NUMBER ...".
std::optional<uint64_t> field(const std::filesystem::path& path, std::string_view name) {
  std::ifstream file(path);
  uint64_t number = 0;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name) && std::sscanf(line.c_str() + name.size(), " %lu", &number) == 1) return number;
  return std::nullopt;
}

// A file of one number; nothing for "max".
std::optional<uint64_t> number_in(const std::filesystem::path& path) { return field(path, ""); }

std::optional<uint64_t> left_in_group(const std::filesystem::path& group) {
  const auto most = number_in(group / "memory.max"), taken = number_in(group / "memory.current");
  if (!most || !taken) return std::nullopt;
  const uint64_t files = field(group / "memory.stat", "inactive_file").value_or(0),
                 held = *taken - std::min(*taken, files);
  return *most - std::min(*most, held);
}

// "0::/a/b" of /proc/self/cgroup.
std::filesystem::path own_group(const std::filesystem::path& root) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::/")) return line.substr(4);
  return {};
}

}  // namespace

std::optional<uint64_t> free_host_memory(const std::filesystem::path& root) {
  auto least = field(root / "proc/meminfo", "MemAvailable:");
  if (!least) return std::nullopt;
  *least *= 1024;
  const auto top = root / "sys/fs/cgroup";
  auto group = top;
  const auto look = [&] { least = std::min(*least, left_in_group(group).value_or(*least)); };
  look();
  for (const auto& part : own_group(root)) group /= part, look();
  return least;
}

}  // namespace automodel
