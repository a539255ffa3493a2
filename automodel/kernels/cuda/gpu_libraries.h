// NVIDIA's libraries that libtorch's CUDA part and our kernels call, as they are on this machine.
#pragma once

#include <string>
#include <vector>

#include "automodel/kernels/cuda/versions.h"

namespace automodel::kernels {

/// CUDA's runtime, cuBLASLt, cuDNN and NCCL as far as this process has loaded them. Versions are what the libraries
/// answer, beside those of the pinned wheels.
std::vector<GpuLibrary> loaded_gpu_libraries();

struct FoundLibraries {
  std::string libtorch_fault;         // why libtorch's CUDA part cannot be loaded; "": it can
  std::vector<GpuLibrary> libraries;  // all four; `version` is "" for one that was not found, and `fault` says why
};
/// For a report on a machine that may have no GPU: what libtorch's CUDA part brings where it can be loaded; else what
/// lies where the wheels put it beside libtorch, or where the loader finds it. Takes up to a second the first time.
FoundLibraries find_gpu_libraries();

}  // namespace automodel::kernels
