// What GPUs can do at best: the measure of the MFU.
#pragma once

#include <optional>
#include <string>

namespace automodel::recipes {

/// Dense bf16 products with fp32 sums in TFLOP/s, by NVIDIA's data sheets (gpu_peak.cpp names them), of the GPU that
/// the driver calls so: "NVIDIA H100 PCIe". Nothing for a GPU that is not in the list, and for a part of one (MIG).
std::optional<double> peak_tflops(const std::string& gpu);

}  // namespace automodel::recipes
