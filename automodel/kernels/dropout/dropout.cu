#include "automodel/kernels/dropout/drop.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256;

// Eight elements a thread: what one draw decides.
template <typename T>
__global__ void __launch_bounds__(kThreads) drop(DropoutCall a) {
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  const float kept = to_float(from_float<T>(a.mask.kept));
  const int64_t stride = int64_t(gridDim.x) * kThreads * 8;
  for (int64_t first = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * 8; first < a.count; first += stride) {
    const Staying stays = staying(a.mask, first);
#pragma unroll
    for (int k = 0; k < 8; ++k)
      if (first + k < a.count) y[first + k] = from_float<T>(to_float(x[first + k]) * stays.or_zero(kept, k));
  }
}

Status forward(const DropoutCall& a, Stream stream) {
  if (a.count == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    const unsigned blocks = blocks_for(divide_up(a.count, 8 * kThreads));
    drop<decltype(type)><<<blocks, kThreads, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

}  // namespace

const Dropout kDropout = {forward};

}  // namespace automodel::kernels::cuda
