#include "automodel/recipes/gpu_peak.h"

#include "automodel/base/text.h"

namespace automodel::recipes {

// By the data sheet or white paper of each; where it gives only the figure with sparsity, that is halved. Names as
// cuDeviceGetName() tells them: '*' is any run of characters, the first that matches counts. The same chip with fewer
// units (RTX 4090 D, laptops, PCIe boards) has another name, which must not match here.
static constexpr struct {
  const char* name;
  double tflops;
} kPeaks[] = {
    {"NVIDIA GB200", 2500},          // GB200 NVL72: 360 PFLOP/s of 72, with sparsity
    {"NVIDIA B200", 2250},           // HGX B200: 36 PFLOP/s of 8, with sparsity
    {"NVIDIA GH200 *GB", 989},       // GH200 Grace Hopper Superchip
    {"NVIDIA H200", 989},            // H200 SXM
    {"NVIDIA H200 NVL", 835},        // H200 NVL: 1671 with sparsity
    {"NVIDIA H100 80GB HBM3", 989},  // H100 SXM: 1979 with sparsity
    {"NVIDIA H100 PCIe", 756},       // H100 PCIe: 1513 with sparsity
    {"NVIDIA H100 NVL", 835},        // H100 NVL: 1671 with sparsity
    {"NVIDIA H800", 989},            // H800 SXM: 1979 with sparsity
    {"NVIDIA A100-SXM*-40GB", 312},  // A100, which is the same in every form
    {"NVIDIA A100-SXM*-80GB", 312},
    {"NVIDIA A100-PCIE-40GB", 312},
    {"NVIDIA A100 80GB PCIe", 312},
    {"NVIDIA A40", 149.7},
    {"NVIDIA A30", 165},
    {"NVIDIA A10", 125},
    {"NVIDIA L40S", 362},
    {"NVIDIA L40", 181},
    {"NVIDIA L4", 121},
    {"NVIDIA GeForce RTX 5090", 209.5},  // RTX Blackwell white paper, fp32 sums
    {"NVIDIA GeForce RTX 4090", 165.2},  // Ada white paper, fp32 sums
    {"NVIDIA GeForce RTX 3090", 71},     // GA102 white paper, fp32 sums
};

std::optional<double> peak_tflops(const std::string& gpu) {
  if (gpu.find(" MIG ") != std::string::npos) return std::nullopt;
  for (const auto& [name, tflops] : kPeaks)
    if (wildcard_match(name, gpu)) return tflops;
  return std::nullopt;
}

}  // namespace automodel::recipes
