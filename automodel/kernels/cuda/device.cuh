// What every kernel needs: 16-byte loads and stores as floats, sums over a warp and a block, choosing a dtype.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "automodel/kernels/cuda/types.h"

namespace automodel::kernels::cuda {

using bf16 = __nv_bfloat16;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }

template <typename T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ __half from_float<__half>(float x) {
  return __float2half_rn(x);
}

/// Elements of T in 16 bytes.
template <typename T>
inline constexpr int kVector = 16 / sizeof(T);

/// 16 bytes of T, kept packed until they are needed: half the registers of floats.
template <typename T>
struct alignas(16) Vector {
  T at[kVector<T>];

  static __device__ __forceinline__ Vector load(const T* from) {
    Vector v;
    *reinterpret_cast<uint4*>(&v) = *reinterpret_cast<const uint4*>(from);
    return v;
  }
  /// For data that is read once: leaves the cache to others.
  static __device__ __forceinline__ Vector stream(const T* from) {
    Vector v;
    *reinterpret_cast<uint4*>(&v) = __ldcs(reinterpret_cast<const uint4*>(from));
    return v;
  }
  static __device__ __forceinline__ Vector zero() {
    Vector v;
    *reinterpret_cast<uint4*>(&v) = make_uint4(0, 0, 0, 0);
    return v;
  }
  __device__ __forceinline__ void store(T* to) const {
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(this);
  }
  /// For data that is far larger than the cache: what is written in pieces of rows is then a tenth faster.
  __device__ __forceinline__ void stream_to(T* to) const {
    __stcs(reinterpret_cast<uint4*>(to), *reinterpret_cast<const uint4*>(this));
  }
  __device__ __forceinline__ float operator[](int i) const { return to_float(at[i]); }
  __device__ __forceinline__ void set(int i, float value) { at[i] = from_float<T>(value); }
};

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

/// The sum over a block of kThreads, the same bits in every thread. All threads must call it.
template <int kThreads>
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float sums[kThreads / 32];
  x = warp_sum(x);
  __syncthreads();  // the last call's readers are done
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  x = 0;
#pragma unroll
  for (int i = 0; i < kThreads / 32; ++i) x += sums[i];
  return x;
}

// ---- on the host ----

inline cudaStream_t stream_of(Stream stream) { return static_cast<cudaStream_t>(stream); }

__host__ __device__ inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Blocks for `work` pieces, at most `most`: kernels walk what is left in steps of the grid.
inline unsigned blocks_for(int64_t work, int64_t most = int64_t{1} << 30) {
  return static_cast<unsigned>(std::min(std::max<int64_t>(work, 1), most));
}

template <typename... Pointers>
bool aligned16(const Pointers*... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

/// Whether a block of the current device may have that much shared memory.
inline bool has_shared_memory(size_t bytes) {
  int device = 0, most = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return bytes <= static_cast<size_t>(most);
}

/// f(T{}) with the type that `dtype` names.
template <typename F>
void with_type(DType dtype, const F& f) {
  if (dtype == DType::Float)
    f(float{});
  else if (dtype == DType::BFloat16)
    f(bf16{});
  else
    f(__half{});
}

/// The fault of the launches since the last call, if any.
inline Status launched() { return static_cast<Status>(cudaGetLastError()); }

}  // namespace automodel::kernels::cuda
