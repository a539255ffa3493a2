// Loading what a GPU needs: the driver, libtorch's CUDA part, our kernels. Nothing of it is linked: the same program
// runs on a machine without any of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "automodel/kernels/cuda/table.h"
#include "automodel/kernels/cuda/versions.h"

namespace automodel::kernels {

struct Gpu {
  std::string name;  // "NVIDIA H200"
  int major, minor;  // compute capability
  int multiprocessors;
  uint64_t memory_bytes;
  bool maps_memory;  // the driver can map pages of it as they are asked for
};

/// What was found. Where kernels cannot run, `reason` says why and `hint` how to mend it.
struct CudaState {
  bool driver = false;                // libcuda.so.1 is there
  int driver_version = 0;             // the CUDA version it supports: 13000 is 13.0
  std::vector<Gpu> gpus;              // as CUDA_VISIBLE_DEVICES leaves them
  bool ready = false;                 // tensors and kernels work on a GPU
  std::string reason, hint;           // empty if ready
  std::vector<GpuLibrary> libraries;  // NVIDIA's, as loaded
  std::string library;                // path of our kernels
  std::string archs;                  // what they were compiled for
};

/// Loads once per process and remembers; later calls cost nothing. Takes about 0.7 s where a GPU is there, 1 ms
/// elsewhere. Must come before the first use of a CUDA tensor, since libtorch asks only once whether it has CUDA.
/// Never throws.
const CudaState& load_cuda();

/// Throws UnsupportedError{where} with reason and hint unless load_cuda() made a GPU ready.
void require_cuda(const std::string& where);

/// The kernels. REQUIRES load_cuda().ready.
const cuda::Table& cuda_table();

/// Runs launches on the device and the current stream of a tensor:
///   CudaLaunch on(x);  on(cuda_table().norm.forward(arguments, on.stream()));
/// The call throws DeviceError with CUDA's own text if a launch failed.
class CudaLaunch {
 public:
  explicit CudaLaunch(const at::Tensor& x);
  ~CudaLaunch();
  CudaLaunch(const CudaLaunch&) = delete;
  cuda::Stream stream() const { return stream_; }
  void operator()(cuda::Status status) const;
  int multiprocessors() const;

 private:
  at::Device before_, device_;
  cuda::Stream stream_;
};

/// The dtype as kernels know it; REQUIRES has_cuda_dtype(x).
cuda::DType cuda_dtype(const at::Tensor& x);
bool has_cuda_dtype(const at::Tensor& x);  // fp32, bf16 or fp16

}  // namespace automodel::kernels
