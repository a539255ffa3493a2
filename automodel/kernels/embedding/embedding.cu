#include "automodel/kernels/cuda/device.cuh"
#include "automodel/kernels/embedding/embedding_cuda.h"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T, bool kVectors>
__global__ void __launch_bounds__(kThreads) look_up(EmbeddingForward a) {
  constexpr int N = kVectors ? kVector<T> : 1;
  for (int64_t t = blockIdx.x; t < a.tokens; t += gridDim.x) {
    const T* from = static_cast<const T*>(a.table) + a.ids[t] * a.columns;
    T* to = static_cast<T*>(a.y) + t * a.columns;
    for (int64_t c = int64_t(threadIdx.x) * N; c < a.columns; c += kThreads * N) {
      if constexpr (kVectors) {
        auto v = Vector<T>::load(from + c);
        if (a.scale != 1.0f) {
#pragma unroll
          for (int i = 0; i < N; ++i) v.set(i, v[i] * a.scale);
        }
        v.store(to + c);
      } else {
        to[c] = from_float<T>(to_float(from[c]) * a.scale);
      }
    }
  }
}

// N neighbouring columns of a row of sums: N is 1, or 8 where rows are aligned.
template <int N>
struct Sums {
  float at[N];

  static __device__ __forceinline__ Sums load(const float* from) {
    Sums s;
    if constexpr (N == 1) {
      s.at[0] = *from;
    } else {
#pragma unroll
      for (int i = 0; i < N; i += 4) *reinterpret_cast<float4*>(s.at + i) = *reinterpret_cast<const float4*>(from + i);
    }
    return s;
  }
  __device__ __forceinline__ void store(float* to) const {
    if constexpr (N == 1) {
      *to = at[0];
    } else {
#pragma unroll
      for (int i = 0; i < N; i += 4) *reinterpret_cast<float4*>(to + i) = *reinterpret_cast<const float4*>(at + i);
    }
  }
  template <typename T>
  __device__ __forceinline__ void add(const T* from) {
    if constexpr (N == 1) {
      at[0] += to_float(*from);
    } else {
#pragma unroll
      for (int i = 0; i < N; i += kVector<T>) {
        const auto v = Vector<T>::stream(from + i);
#pragma unroll
        for (int k = 0; k < kVector<T>; ++k) at[i + k] += v[k];
      }
    }
  }
  template <typename G>
  __device__ __forceinline__ void add_to_row(const EmbeddingBackward& a, int64_t id, int64_t c) const {
    if (id == a.padding) return;
    G* to = static_cast<G*>(a.grad) + id * a.columns + c;
    if constexpr (N == 1) {
      *to = from_float<G>(to_float(*to) + at[0] * a.scale);
    } else {
#pragma unroll
      for (int i = 0; i < N; i += kVector<G>) {
        auto v = Vector<G>::load(to + i);
#pragma unroll
        for (int k = 0; k < kVector<G>; ++k) v.set(k, v[k] + at[i + k] * a.scale);
        v.store(to + i);
      }
    }
  }
};

// A block sums kEmbeddingRun sorted tokens for N kThreads columns. A sum of an id that lies wholly inside is final; one
// that came in from the left goes to scratch row 2 run, one that goes on to the right to 2 run + 1.
template <typename T, typename G, int N>
__global__ void __launch_bounds__(kThreads) sum_runs(EmbeddingBackward a, int64_t parts) {
  const int64_t runs = divide_up(a.tokens, kEmbeddingRun);
  for (int64_t work = blockIdx.x; work < runs * parts; work += gridDim.x) {
    const int64_t run = work / parts, c = ((work - run * parts) * kThreads + threadIdx.x) * N;
    if (c >= a.columns) continue;
    const int64_t begin = run * kEmbeddingRun, end = min(begin + kEmbeddingRun, a.tokens);
    const bool from_left = begin > 0 && a.sorted_ids[begin - 1] == a.sorted_ids[begin];
    bool first = true;
    Sums<N> sum{};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t id = a.sorted_ids[i];
      sum.add(static_cast<const T*>(a.dy) + a.order[i] * a.columns + c);
      const bool last_of_all = i + 1 == a.tokens, ends = last_of_all || a.sorted_ids[i + 1] != id;
      if (!ends && i + 1 < end) continue;
      if (first && from_left)
        sum.store(a.partial + 2 * run * a.columns + c);
      else if (!ends)
        sum.store(a.partial + (2 * run + 1) * a.columns + c);
      else
        sum.template add_to_row<G>(a, id, c);
      first = false;
      sum = {};
    }
  }
}

// The sums that cross borders: the block of the run where one starts adds up what follows, in order.
template <typename G, int N>
__global__ void __launch_bounds__(kThreads) join_runs(EmbeddingBackward a, int64_t parts) {
  const int64_t runs = divide_up(a.tokens, kEmbeddingRun);
  for (int64_t work = blockIdx.x; work < runs * parts; work += gridDim.x) {
    const int64_t run = work / parts, c = ((work - run * parts) * kThreads + threadIdx.x) * N;
    const int64_t begin = run * kEmbeddingRun, end = begin + kEmbeddingRun;
    if (c >= a.columns || end >= a.tokens) continue;
    const int64_t id = a.sorted_ids[end - 1];
    if (a.sorted_ids[end] != id) continue;                                                  // ends here
    if (begin > 0 && a.sorted_ids[begin - 1] == id && a.sorted_ids[begin] == id) continue;  // started further left
    auto sum = Sums<N>::load(a.partial + (2 * run + 1) * a.columns + c);
    for (int64_t next = run + 1;; ++next) {
      sum.add(a.partial + 2 * next * a.columns + c);
      const int64_t next_end = min((next + 1) * kEmbeddingRun, a.tokens);
      if (a.sorted_ids[next_end - 1] != id || next_end == a.tokens || a.sorted_ids[next_end] != id) break;
    }
    sum.template add_to_row<G>(a, id, c);
  }
}

template <typename T, typename G, int N>
void launch_backward(const EmbeddingBackward& a, Stream stream) {
  const int64_t parts = divide_up(a.columns, int64_t{N} * kThreads), work = divide_up(a.tokens, kEmbeddingRun) * parts;
  sum_runs<T, G, N><<<blocks_for(work), kThreads, 0, stream_of(stream)>>>(a, parts);
  join_runs<G, N><<<blocks_for(work), kThreads, 0, stream_of(stream)>>>(a, parts);
}

Status forward(const EmbeddingForward& a, Stream stream) {
  if (a.tokens == 0 || a.columns == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    if (aligned16(a.table, a.y) && a.columns % kVector<T> == 0)
      look_up<T, true><<<blocks_for(a.tokens), kThreads, 0, stream_of(stream)>>>(a);
    else
      look_up<T, false><<<blocks_for(a.tokens), kThreads, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

Status backward(const EmbeddingBackward& a, Stream stream) {
  if (a.tokens == 0 || a.columns == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    with_type(a.grad_dtype, [&](auto grad) {
      if (a.columns % 8 == 0 && aligned16(a.dy, a.grad, a.partial))
        launch_backward<decltype(type), decltype(grad), 8>(a, stream);
      else
        launch_backward<decltype(type), decltype(grad), 1>(a, stream);
    });
  });
  return launched();
}

}  // namespace

const Embedding kEmbedding = {forward, backward};

}  // namespace automodel::kernels::cuda
