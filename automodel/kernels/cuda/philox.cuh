// base/random.h's random words on a device.
#pragma once

#include <cstdint>

namespace automodel::kernels::cuda {

// Philox4x32-10 (Salmon et al. 2011): four random words, a function of counter (with `stream` in its upper half) and
// key.
__device__ __forceinline__ uint4 philox(uint64_t counter, uint64_t stream, uint64_t key) {
  uint4 c = make_uint4(uint32_t(counter), uint32_t(counter >> 32), uint32_t(stream), uint32_t(stream >> 32));
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = make_uint4(high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return c;
}

}  // namespace automodel::kernels::cuda
