#include "automodel/kernels/cuda/versions.h"

#include <ATen/Version.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "automodel/base/text.h"

namespace automodel::kernels {
namespace {

constexpr int kOldestGpu = 8;         // compute capability: the kernels use what came with Ampere
constexpr int kNeededDriver = 13000;  // what the pinned libraries are built for: CUDA 13.0, driver 580

// "9.19.0" -> {9, 19, 0}; empty if it is no version.
std::vector<int> numbers_of(const std::string& version) {
  std::vector<int> numbers;
  for (const auto& part : split(version, '.')) {
    if (part.empty() || part.size() > 6 || part.find_first_not_of("0123456789") != std::string::npos) return {};
    numbers.push_back(std::stoi(part));
  }
  return numbers;
}

std::string text_of(const std::vector<int>& numbers) {
  std::vector<std::string> parts;
  for (const int number : numbers) parts.push_back(std::to_string(number));
  return join(parts, ".");
}

// The pinned version, by as many numbers as the library tells of itself.
std::vector<int> pinned_of(const GpuLibrary& library) {
  auto pinned = numbers_of(library.pinned);
  pinned.resize(std::min(pinned.size(), numbers_of(library.version).size()));
  return pinned;
}

std::string named(const GpuLibrary& library) {
  return fmt::format("{} {}{}", library.name, library.version,
                     library.path.empty() ? "" : fmt::format(" ({})", library.path));
}

}  // namespace

std::optional<Unusable> judge_driver(int version) {
  if (version >= kNeededDriver) return std::nullopt;
  return Unusable{fmt::format("the NVIDIA driver is too old: it supports CUDA {}.{}, 13.0 is needed", version / 1000,
                              version % 1000 / 10),
                  "install NVIDIA's driver 580 or newer"};
}

static bool runs_on(std::string_view arch, int major, int minor) {
  const bool exact = arch.ends_with('a');
  const int number = std::stoi(std::string(arch)), oldest = number % 10;
  return number / 10 == major && (exact ? oldest == minor : oldest <= minor);
}

std::optional<Unusable> judge_gpu(const std::string& name, int major, int minor, const std::string& archs) {
  const std::string hide = "hide it with CUDA_VISIBLE_DEVICES";
  if (major < kOldestGpu)
    return Unusable{fmt::format("{} is too old: its compute capability is {}.{}, {}.0 or newer is needed (A100, RTX 30 "
                                "and what came after)",
                                name, major, minor, kOldestGpu),
                    "take a newer GPU; where there is one beside it, " + hide};
  for (const auto& arch : split(archs, ' '))
    if (!arch.empty() && runs_on(arch, major, minor)) return std::nullopt;
  // What Hopper's kernels use is not part of plain 9.0.
  const std::string wanted = fmt::format("{}{}{}", major, minor, major == 9 && minor == 0 ? "a" : "");
  return Unusable{
      fmt::format("{} has compute capability {}.{}, our kernels were built for {}", name, major, minor, archs),
      fmt::format("configure with -DAUTOMODEL_CUDA_ARCHS=\"{};{}\" and build automodel_cuda, or {}",
                  replace_all(archs, " ", ";"), wanted, hide)};
}

std::optional<Unusable> judge_libraries(const std::vector<GpuLibrary>& libraries) {
  for (const auto& library : libraries) {
    if (!library.needed) continue;
    auto loaded = numbers_of(library.version), pinned = pinned_of(library);
    const size_t significant = std::min<size_t>(2, pinned.size());
    loaded.resize(significant), pinned.resize(significant);
    if (pinned.empty() || (loaded[0] == pinned[0] && loaded >= pinned)) continue;
    const char* paths = std::getenv("LD_LIBRARY_PATH");
    const std::string before =
        paths && *paths ? fmt::format("LD_LIBRARY_PATH ({}) goes before the wheels: leave its folder out; or ", paths)
                        : "";
    return Unusable{fmt::format("{} was loaded, and {} or a newer one of version {} is needed", named(library),
                                text_of(pinned), pinned[0]),
                    before +
                        "`tools/setup --cuda` fetches the right one, `cmake --preset cuda "
                        "-DAUTOMODEL_DEPS=$(tools/setup --cuda --print-deps)` takes it"};
  }
  return std::nullopt;
}

std::vector<std::string> other_versions(const std::vector<GpuLibrary>& libraries) {
  std::vector<std::string> notes;
  for (const auto& library : libraries)
    if (const auto pinned = pinned_of(library); !pinned.empty() && pinned != numbers_of(library.version))
      notes.push_back(fmt::format("{} is loaded, this program is tested with {}", named(library), text_of(pinned)));
  return notes;
}

std::string loaded_libtorch() {
  const std::string config = at::show_config(), key = "TORCH_VERSION=";
  const size_t at = config.find(key);
  if (at == std::string::npos) return "";
  const size_t begin = at + key.size();
  return config.substr(begin, config.find(',', begin) - begin);
}

std::string judge_libtorch(const std::string& loaded, const std::string& compiled_with) {
  if (loaded.empty() || loaded == compiled_with) return "";
  return fmt::format(
      "libtorch {} is loaded, this program was compiled with {}, and they do not fit: run `tools/setup`, configure "
      "anew and "
      "build; LD_LIBRARY_PATH must not name another libtorch",
      loaded, compiled_with);
}

}  // namespace automodel::kernels
