// What the files of gpu_speed share.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

namespace automodel::kernels::speed {

inline const at::Device kGpu("cuda:0");

at::Tensor random(at::IntArrayRef sizes, at::ScalarType dtype = at::kBFloat16);

/// Prints the median time of single runs after three to warm up, unless another name was asked for. The buffers should
/// be far larger than the cache, so that runs do not help each other.
void measure(const std::string& name, double bytes, const std::function<void()>& run);

void run_adapters();
void run_attention();

}  // namespace automodel::kernels::speed
