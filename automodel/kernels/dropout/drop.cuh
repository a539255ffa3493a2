// Dropout of eight neighbours at a time, in packed halves, for the kernels that apply a mask in passing.
#pragma once

#include "automodel/kernels/cuda/device.cuh"
#include "automodel/kernels/cuda/philox.cuh"
#include "automodel/kernels/dropout/dropout_cuda.h"

namespace automodel::kernels::cuda {

// Sixteen ones for each of eight neighbours that stays, zeros for one that is dropped.
struct Staying {
  uint32_t halves[4];

  // x, or zero where element k is dropped.
  __device__ __forceinline__ float or_zero(float x, int k) const {
    return __uint_as_float(__float_as_uint(x) & __byte_perm(halves[k / 2], 0, k % 2 ? 0x3232 : 0x1010));
  }
};

// Sixteen ones where a half of `words` is not below that of `least`. The lower 15 bits of both halves are compared by
// one subtraction whose borrow stops at the bit set above them; prmt then spreads each half's sign.
__device__ __forceinline__ uint32_t halves_from(uint32_t words, uint32_t least) {
  constexpr uint32_t kTop = 0x80008000u;
  const uint32_t lower = (words | kTop) - (least & ~kTop), equal = ~(words ^ least);
  uint32_t ones;
  asm("prmt.b32 %0, %1, 0, 0xBB99;" : "=r"(ones) : "r"((words & ~least) | (equal & lower)));
  return ones;
}

// Of elements i to i + 7, i a multiple of 8. Where all are dropped (a threshold of 2^16) `kept` is 0 anyway.
__device__ __forceinline__ Staying staying(const DropMask& mask, int64_t i) {
  const uint4 words = philox(static_cast<uint64_t>(i) / 8, 0, mask.key);
  const uint32_t least = min(mask.threshold, 0xffffu) * 0x10001u;
  return {halves_from(words.x, least), halves_from(words.y, least), halves_from(words.z, least),
          halves_from(words.w, least)};
}

// Zeros where the mask drops; what stays is not multiplied. 16-bit T.
template <typename T>
__device__ __forceinline__ void zero_dropped(Vector<T>& v, const Staying& staying) {
  auto* words = reinterpret_cast<uint32_t*>(&v);
#pragma unroll
  for (int k = 0; k < 4; ++k) words[k] &= staying.halves[k];
}

}  // namespace automodel::kernels::cuda
