// Dropout of eight neighbours of 16 bits at a time, for the kernels that apply a mask in passing.
#pragma once

#include "automodel/kernels/cuda/device.cuh"
#include "automodel/kernels/cuda/philox.cuh"
#include "automodel/kernels/dropout/dropout_cuda.h"

namespace automodel::kernels::cuda {

// A bit each of elements i to i + 7: whether it stays. i a multiple of 4, something is dropped (threshold > 0).
__device__ __forceinline__ uint32_t staying(const DropMask& mask, int64_t i) {
  const uint32_t last = static_cast<uint32_t>(mask.threshold - 1);  // of the words that drop: 2^32 would not fit
  const uint4 a = philox(static_cast<uint64_t>(i) / 4, 0, mask.key),
              b = philox(static_cast<uint64_t>(i) / 4 + 1, 0, mask.key);
  const uint32_t words[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
  uint32_t bits = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k) bits |= (words[k] > last ? 1u : 0u) << k;
  return bits;
}

// Zeros where the mask drops; what stays is not multiplied.
template <typename T>
__device__ __forceinline__ void zero_dropped(Vector<T>& v, uint32_t staying) {
  auto* words = reinterpret_cast<uint32_t*>(&v);
#pragma unroll
  for (int k = 0; k < 4; ++k)
    words[k] &= (staying >> (2 * k) & 1 ? 0xffffu : 0) | (staying >> (2 * k + 1) & 1 ? 0xffff0000u : 0);
}

}  // namespace automodel::kernels::cuda
