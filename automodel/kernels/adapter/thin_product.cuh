// Products with a few columns (the ranks of adapters) by tensor cores: what the kernels that make them in passing
// share.
#pragma once

#include <type_traits>

#include "automodel/kernels/cuda/device.cuh"

namespace automodel::kernels::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
// 16 bytes to shared memory; zeros unless `there`.
__device__ __forceinline__ void copy16(void* to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(there ? 16 : 0));
}
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(at)));
}
__device__ __forceinline__ void load_transposed(uint32_t (&r)[4], const void* at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(at)));
}
// d [16, 8] += a [16, 16] b [16, 8]
template <typename T>
__device__ __forceinline__ void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, "
        "%2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Where chunk c (8 elements) of a row of kColumns (64 or more) lies: eight rows of one chunk, which one ldmatrix reads,
// are in different banks.
template <int kColumns>
__device__ __forceinline__ int wide_place(int row, int chunk) {
  return row * kColumns + ((chunk ^ (row & 7)) * 8);
}
// Where chunk c (8 ranks) of a row of kRanks lies: eight rows of one chunk are in different banks.
template <int kRanks>
__device__ __forceinline__ int thin_place(int row, int chunk) {
  constexpr int kChunks = kRanks / 8;
  return row * kRanks + ((chunk ^ (row / (8 / kChunks) % kChunks)) * 8);
}

// Four sums times `kept` (what dropout makes of what stays), rounded.
template <typename T>
__device__ __forceinline__ void store_ranks(T* to, float4 sum, float kept) {
  to[0] = from_float<T>(kept * sum.x), to[1] = from_float<T>(kept * sum.y), to[2] = from_float<T>(kept * sum.z),
  to[3] = from_float<T>(kept * sum.w);
}
// The sum of `count` parts, `stride` elements apart, in order.
__device__ __forceinline__ float4 sum_parts(const float* parts, int count, int64_t stride) {
  float4 sum = make_float4(0, 0, 0, 0);
  for (int i = 0; i < count; ++i) {
    const float4 part = *reinterpret_cast<const float4*>(parts + i * stride);
    sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
  }
  return sum;
}

}  // namespace automodel::kernels::cuda
