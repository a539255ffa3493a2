#include <cmath>

#include "automodel/kernels/cross_entropy/softmax_loss_cuda.h"
#include "automodel/kernels/cuda/device.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 512;

// Running maximum, sum of exp(x - maximum) and sum of x.
struct Running {
  float top = -INFINITY, sum = 0, total = 0;
};

__device__ __forceinline__ Running join(const Running& a, const Running& b) {
  const float top = fmaxf(a.top, b.top);
  if (top == -INFINITY) return {top, 0.0f, a.total + b.total};
  return {top, a.sum * __expf(a.top - top) + b.sum * __expf(b.top - top), a.total + b.total};
}

__device__ __forceinline__ Running block_join(Running r) {
  __shared__ Running parts[kThreads / 32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    r = join(r, {__shfl_xor_sync(0xffffffffu, r.top, offset), __shfl_xor_sync(0xffffffffu, r.sum, offset),
                 __shfl_xor_sync(0xffffffffu, r.total, offset)});
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = r;
  __syncthreads();
  r = parts[0];
  for (int i = 1; i < kThreads / 32; ++i) r = join(r, parts[i]);
  return r;
}

template <typename T, bool kCap>
__device__ __forceinline__ float bend(float x, const SoftmaxLoss& a) {
  x *= a.logit_scale;
  if (!kCap) return x;
  if (sizeof(T) == 4) return a.softcap * tanhf(x / a.softcap);
  return a.softcap - __fdividef(2 * a.softcap, 1.0f + __expf(__fdividef(2 * x, a.softcap)));
}

// Replaces every x of a row by map(x, its column).
template <typename T, bool kVectors, typename Map>
__device__ __forceinline__ void map_row(T* x, int64_t columns, const Map& map) {
  constexpr int N = kVectors ? kVector<T> : 1;
  for (int64_t c = int64_t(threadIdx.x) * N; c < columns; c += kThreads * N) {
    if constexpr (kVectors) {
      auto loaded = Vector<T>::load(x + c);
#pragma unroll
      for (int i = 0; i < N; ++i) loaded.set(i, map(loaded[i], c + i));
      loaded.store(x + c);
    } else {
      x[c] = from_float<T>(map(to_float(x[c]), c));
    }
  }
}

// What a thread sees of its row.
template <typename T, bool kVectors, bool kCap>
__device__ __forceinline__ Running sum_row(const T* x, const SoftmaxLoss& a) {
  constexpr int N = kVectors ? kVector<T> : 1;
  Running r;
  for (int64_t c = int64_t(threadIdx.x) * N; c < a.columns; c += kThreads * N) {
    float v[N], top = r.top;
    if constexpr (kVectors) {
      const auto loaded = Vector<T>::load(x + c);
#pragma unroll
      for (int i = 0; i < N; ++i) v[i] = loaded[i];
    } else {
      v[0] = to_float(x[c]);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
      v[i] = bend<T, kCap>(v[i], a);
      top = fmaxf(top, v[i]);
      r.total += v[i];
    }
    if (top > r.top) {
      r.sum *= __expf(r.top - top);
      r.top = top;
    }
#pragma unroll
    for (int i = 0; i < N; ++i) r.sum += __expf(v[i] - r.top);
  }
  return r;
}

// A block a row: once over it for the sums, once more to write the gradient.
template <typename T, bool kVectors, bool kCap>
__global__ void __launch_bounds__(kThreads) rows_loss(SoftmaxLoss a) {
  for (int64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
    T* x = static_cast<T*>(a.logits) + row * a.stride;
    const int64_t label = a.labels[row];
    if (label == a.ignore) {
      if (threadIdx.x == 0) a.loss[row] = 0;
      if (threadIdx.x == 0 && a.lse) a.lse[row] = 0;
      if (a.gradient) map_row<T, kVectors>(x, a.columns, [](float, int64_t) { return 0.0f; });
      continue;
    }
    const Running r = block_join(sum_row<T, kVectors, kCap>(x, a));
    const bool known = label >= 0 && label < a.columns;
    const float lse = r.top + logf(r.sum), at_label = known ? bend<T, kCap>(to_float(x[label]), a) : NAN;
    __syncthreads();  // everyone has read the label's logit
    if (threadIdx.x == 0) {
      a.loss[row] = (1 - a.smoothing) * (lse - at_label) + a.smoothing * (lse - r.total / float(a.columns)) +
                    a.z_loss * lse * lse;
      if (a.lse) a.lse[row] = lse;
    }
    if (!a.gradient) continue;
    const float weight = (1 + 2 * a.z_loss * lse) / r.sum, spread = a.smoothing / float(a.columns);
    const float factor = a.scale * a.logit_scale * (a.factor ? *a.factor : 1.0f),
                cap = kCap ? 1 / (a.softcap * a.softcap) : 0.0f;
    map_row<T, kVectors>(x, a.columns, [&](float raw, int64_t c) {
      const float v = bend<T, kCap>(raw, a);
      const float d = __expf(v - r.top) * weight - spread - (c == label ? 1 - a.smoothing : 0.0f);
      return d * factor * (kCap ? 1 - v * v * cap : 1.0f);
    });
  }
}

Status softmax_loss(const SoftmaxLoss& a, Stream stream) {
  if (a.rows == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    const bool vectors = aligned16(a.logits) && a.columns % kVector<T> == 0 && a.stride % kVector<T> == 0;
    const unsigned blocks = blocks_for(a.rows);
    const auto on = stream_of(stream);
    if (a.softcap > 0) {
      if (vectors)
        rows_loss<T, true, true><<<blocks, kThreads, 0, on>>>(a);
      else
        rows_loss<T, false, true><<<blocks, kThreads, 0, on>>>(a);
    } else if (vectors) {
      rows_loss<T, true, false><<<blocks, kThreads, 0, on>>>(a);
    } else {
      rows_loss<T, false, false><<<blocks, kThreads, 0, on>>>(a);
    }
  });
  return launched();
}

}  // namespace

const CrossEntropy kCrossEntropy = {softmax_loss};

}  // namespace automodel::kernels::cuda
