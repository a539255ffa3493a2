// split_qkv for heads that the kernels in qkv.cu do not take: odd sizes, rows that are not aligned.
#pragma once

#include "automodel/kernels/cuda/device.cuh"
#include "automodel/kernels/qkv/qkv_cuda.h"

namespace automodel::kernels::cuda {
namespace {

struct HeadOf {
  int64_t token;
  int64_t head;  // of q, then k, then v
};
__device__ __forceinline__ HeadOf head_of(int64_t index, int64_t heads) { return {index / heads, index % heads}; }

// Any head size and alignment: a warp walks a head, each lane its own elements. One warp a block, so that a block's
// partial sums have one owner an element.
template <typename T>
__global__ void __launch_bounds__(32) forward_by_walking(QkvForward args) {
  const int64_t D = args.head_dim, half = args.rotated / 2;
  const bool moves_v = args.v.data != static_cast<const T*>(args.qkv) + (args.q_heads + args.kv_heads) * D;
  const int64_t heads = args.q_heads + args.kv_heads * (moves_v ? 2 : 1);
  for (int64_t index = blockIdx.x; index < args.tokens * heads; index += gridDim.x) {
    const auto [token, head] = head_of(index, heads);
    const bool is_q = head < args.q_heads, is_v = head >= args.q_heads + args.kv_heads;
    const Heads to = is_q ? args.q : is_v ? args.v : args.k;
    const int64_t own = is_q ? head : head - args.q_heads - (is_v ? args.kv_heads : 0);
    const T* x = static_cast<const T*>(args.qkv) + token * args.qkv_stride + head * D;
    T* y = static_cast<T*>(to.data) + token * to.stride + own * D;
    const T* weight = static_cast<const T*>(is_v ? nullptr : is_q ? args.q_weight : args.k_weight);
    float rstd = 1;
    if (weight) {
      float squares = 0;
      for (int64_t c = threadIdx.x; c < D; c += 32) squares += to_float(x[c]) * to_float(x[c]);
      rstd = rsqrtf(warp_sum(squares) / static_cast<float>(D) + args.eps);
    }
    const auto normed = [&](int64_t c) {
      return weight ? to_float(x[c]) * rstd * (to_float(weight[c]) + args.shift) : to_float(x[c]);
    };
    __syncwarp();  // y may be x
    const int64_t pairs = is_v ? 0 : half;
    for (int64_t c = threadIdx.x; c < pairs; c += 32) {
      const float a = normed(c), b = normed(half + c), cosine = args.cos[token * half + c],
                  sine = args.sin[token * half + c];
      y[c] = from_float<T>(a * cosine - b * sine);
      y[half + c] = from_float<T>(b * cosine + a * sine);
    }
    for (int64_t c = 2 * pairs + threadIdx.x; c < D; c += 32) y[c] = from_float<T>(normed(c));
  }
}

template <typename T>
__global__ void __launch_bounds__(32) backward_by_walking(QkvBackward args) {
  const int64_t D = args.head_dim, half = args.rotated / 2;
  const bool moves_v = args.dv.data != static_cast<const T*>(args.d_qkv) + (args.q_heads + args.kv_heads) * D;
  const int64_t heads = args.q_heads + args.kv_heads * (moves_v ? 2 : 1);
  float* partial_q = args.partial_q ? args.partial_q + int64_t(blockIdx.x) * D : nullptr;
  float* partial_k = args.partial_k ? args.partial_k + int64_t(blockIdx.x) * D : nullptr;
  for (int64_t c = threadIdx.x; c < D; c += 32) {
    if (partial_q) partial_q[c] = 0;
    if (partial_k) partial_k[c] = 0;
  }
  __syncwarp();
  for (int64_t index = blockIdx.x; index < args.tokens * heads; index += gridDim.x) {
    const auto [token, head] = head_of(index, heads);
    const bool is_q = head < args.q_heads, is_v = head >= args.q_heads + args.kv_heads;
    const Heads from = is_q ? args.dq : is_v ? args.dv : args.dk;
    const int64_t own = is_q ? head : head - args.q_heads - (is_v ? args.kv_heads : 0);
    const T* dy = static_cast<const T*>(from.data) + token * from.stride + own * D;
    T* dx = static_cast<T*>(args.d_qkv) + token * args.d_stride + head * D;
    const T* weight = static_cast<const T*>(is_v ? nullptr : is_q ? args.q_weight : args.k_weight);
    const T* x = weight ? static_cast<const T*>(args.qkv) + token * args.qkv_stride + head * D : nullptr;
    float* partial = is_v ? nullptr : is_q ? partial_q : partial_k;
    const int64_t pairs = is_v ? 0 : half;
    // One thread takes both elements of a pair in every pass, so dx may be dy.
    const auto for_each = [&](auto&& run) {  // run(c, gradient after rotating back)
      for (int64_t c = threadIdx.x; c < pairs; c += 32) {
        const float a = to_float(dy[c]), b = to_float(dy[half + c]);
        const float cosine = args.cos[token * half + c], sine = args.sin[token * half + c];
        run(c, a * cosine + b * sine);
        run(half + c, b * cosine - a * sine);
      }
      for (int64_t c = 2 * pairs + threadIdx.x; c < D; c += 32) run(c, to_float(dy[c]));
    };
    if (!weight) {
      for_each([&](int64_t c, float g) { dx[c] = from_float<T>(g); });
      continue;
    }
    float squares = 0, dot = 0;
    for_each([&](int64_t c, float g) { squares += to_float(x[c]) * to_float(x[c]); });
    const float rstd = rsqrtf(warp_sum(squares) / static_cast<float>(D) + args.eps);
    for_each([&](int64_t c, float g) {
      dot += g * (to_float(weight[c]) + args.shift) * to_float(x[c]);
      if (partial) partial[c] += g * to_float(x[c]) * rstd;
    });
    dot = warp_sum(dot) * rstd * rstd / static_cast<float>(D);
    for_each([&](int64_t c, float g) {
      dx[c] = from_float<T>(rstd * (g * (to_float(weight[c]) + args.shift) - to_float(x[c]) * dot));
    });
  }
}

}  // namespace
}  // namespace automodel::kernels::cuda
