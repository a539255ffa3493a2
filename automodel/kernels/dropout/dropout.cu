#include "automodel/kernels/cuda/device.cuh"
#include "automodel/kernels/cuda/philox.cuh"
#include "automodel/kernels/dropout/dropout_cuda.h"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256;

// Four elements a thread: what one draw decides.
template <typename T>
__global__ void __launch_bounds__(kThreads) drop(DropoutCall a) {
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  const float kept = to_float(from_float<T>(a.mask.kept));
  const int64_t fours = (a.count + 3) / 4, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t four = int64_t(blockIdx.x) * kThreads + threadIdx.x; four < fours; four += stride) {
    const uint4 drawn = philox(uint64_t(four), 0, a.mask.key);
    const uint32_t words[4] = {drawn.x, drawn.y, drawn.z, drawn.w};
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
      const int64_t i = four * 4 + lane;
      if (i < a.count) y[i] = from_float<T>(to_float(x[i]) * (words[lane] < a.mask.threshold ? 0.0f : kept));
    }
  }
}

Status forward(const DropoutCall& a, Stream stream) {
  if (a.count == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    const unsigned blocks = blocks_for((a.count + 4 * kThreads - 1) / (4 * kThreads));
    drop<decltype(type)><<<blocks, kThreads, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

}  // namespace

const Dropout kDropout = {forward};

}  // namespace automodel::kernels::cuda
