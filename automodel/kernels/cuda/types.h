// The few types that the program and libautomodel_cuda.so hand to each other: plain C++, no CUDA and no libtorch
// header.
#pragma once

#include <cstdint>

namespace automodel::kernels::cuda {

/// Element type of a buffer.
enum class DType : int32_t { Float, BFloat16, Half };

/// A cudaStream_t.
using Stream = void*;

/// A cudaError_t; 0 is success. Launches are asynchronous: a fault inside a kernel shows at a later call.
using Status = int;

}  // namespace automodel::kernels::cuda
