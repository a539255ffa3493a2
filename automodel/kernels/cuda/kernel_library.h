// libautomodel_cuda.so, our kernels for GPUs, which the build puts into lib/ beside the program's bin/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "automodel/kernels/cuda/table.h"
#include "automodel/kernels/cuda/versions.h"

namespace automodel::kernels {

struct KernelLibrary {
  std::string path;               // where it lies, or should
  std::optional<Unusable> fault;  // why it cannot be used; then the rest is empty
  cuda::Table table{};
  std::string archs;  // what it holds code for: "80 89 90a 120"
  bool cudnn = false, cublas_lt = false;

  /// "nvcc 13.0.88, CUDA 13.0, cuBLAS 13.1.0, cuDNN 9.19.0, cuDNN's front end 1.32.0"
  std::string built_with() const;
  /// What was left out because its headers were missing where it was built: what is slower by it, and how to mend it.
  std::vector<Unusable> left_out() const;
};

/// How the GPU's libraries and kernels are had.
extern const char* const kSetupHint;

/// Opens it; needs no GPU and no driver. Never throws.
KernelLibrary open_kernel_library();

}  // namespace automodel::kernels
