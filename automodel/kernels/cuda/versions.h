// Whether the driver and NVIDIA's libraries, as they were found, are those that this program can use. Pure: what was
// found comes as plain values.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace automodel::kernels {

/// A library as the loader found it. Versions are compared by the numbers that the library itself tells.
struct GpuLibrary {
  std::string name, version;  // "cudnn", "9.19.0": as loaded
  std::string pinned;         // "9.19.0.56": the wheel's that tools/setup fetches; "": any will do
  std::string path;           // where it lies, "": not known
  bool needed = true;         // by a run; of the others doctor tells
  std::string fault;          // why it was not found, where `version` is ""
};

/// Why something cannot be used, and how to mend it.
struct Unusable {
  std::string reason, hint;
};

/// `version` as the driver tells it, 13000 for CUDA 13.0. Nothing where it is 13.0, what the libraries are built for,
/// or newer.
std::optional<Unusable> judge_driver(int version);

/// Nothing where all that are needed can be used: NVIDIA's libraries keep what they have within a major version, so the
/// pinned minor version or a newer one of the same major will do; an older one lacks functions.
std::optional<Unusable> judge_libraries(const std::vector<GpuLibrary>& libraries);

/// Nothing where a GPU of compute capability `major`.`minor` runs kernels that were built for `archs` ("80 90a"): "80"
/// runs on 8.0 and newer ones of generation 8, "90a" on 9.0 alone. Older than 8.0 no build serves.
std::optional<Unusable> judge_gpu(const std::string& name, int major, int minor, const std::string& archs);

/// One note for each library that is not the pinned one: what tests and figures say holds for that.
std::vector<std::string> other_versions(const std::vector<GpuLibrary>& libraries);

/// The version of the libtorch that is loaded, "2.11.0"; "" if it does not say.
std::string loaded_libtorch();
/// A note where the libtorch that is loaded is not the one that this program was compiled with: C++ libraries promise
/// nothing to programs compiled with another version. "" else.
std::string judge_libtorch(const std::string& loaded, const std::string& compiled_with);

}  // namespace automodel::kernels
