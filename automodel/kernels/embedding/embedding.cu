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

template <typename G>
__device__ __forceinline__ void add_to_row(const EmbeddingBackward& a, int64_t id, int64_t c, float sum) {
  if (id == a.padding) return;
  G* to = static_cast<G*>(a.grad) + id * a.columns + c;
  *to = from_float<G>(to_float(*to) + sum * a.scale);
}

// A block sums kEmbeddingRun sorted tokens for kThreads columns. A sum of an id that lies wholly inside is final; one
// that came in from the left goes to scratch row 2 run, one that goes on to the right to 2 run + 1.
template <typename T, typename G>
__global__ void __launch_bounds__(kThreads) sum_runs(EmbeddingBackward a, int64_t parts) {
  const int64_t runs = divide_up(a.tokens, kEmbeddingRun);
  for (int64_t work = blockIdx.x; work < runs * parts; work += gridDim.x) {
    const int64_t run = work / parts, c = (work - run * parts) * kThreads + threadIdx.x;
    if (c >= a.columns) continue;
    const int64_t begin = run * kEmbeddingRun, end = min(begin + kEmbeddingRun, a.tokens);
    const bool from_left = begin > 0 && a.sorted_ids[begin - 1] == a.sorted_ids[begin];
    bool first = true;
    float sum = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t id = a.sorted_ids[i];
      sum += to_float(static_cast<const T*>(a.dy)[a.order[i] * a.columns + c]);
      const bool last_of_all = i + 1 == a.tokens, ends = last_of_all || a.sorted_ids[i + 1] != id;
      if (!ends && i + 1 < end) continue;
      if (first && from_left)
        a.partial[2 * run * a.columns + c] = sum;
      else if (!ends)
        a.partial[(2 * run + 1) * a.columns + c] = sum;
      else
        add_to_row<G>(a, id, c, sum);
      first = false;
      sum = 0;
    }
  }
}

// The sums that cross borders: the block of the run where one starts adds up what follows, in order.
template <typename G>
__global__ void __launch_bounds__(kThreads) join_runs(EmbeddingBackward a, int64_t parts) {
  const int64_t runs = divide_up(a.tokens, kEmbeddingRun);
  for (int64_t work = blockIdx.x; work < runs * parts; work += gridDim.x) {
    const int64_t run = work / parts, c = (work - run * parts) * kThreads + threadIdx.x;
    const int64_t begin = run * kEmbeddingRun, end = begin + kEmbeddingRun;
    if (c >= a.columns || end >= a.tokens) continue;
    const int64_t id = a.sorted_ids[end - 1];
    if (a.sorted_ids[end] != id) continue;                                                  // ends here
    if (begin > 0 && a.sorted_ids[begin - 1] == id && a.sorted_ids[begin] == id) continue;  // started further left
    float sum = a.partial[(2 * run + 1) * a.columns + c];
    for (int64_t next = run + 1;; ++next) {
      sum += a.partial[2 * next * a.columns + c];
      const int64_t next_end = min((next + 1) * kEmbeddingRun, a.tokens);
      if (a.sorted_ids[next_end - 1] != id || next_end == a.tokens || a.sorted_ids[next_end] != id) break;
    }
    add_to_row<G>(a, id, c, sum);
  }
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
  const int64_t parts = divide_up(a.columns, kThreads), work = divide_up(a.tokens, kEmbeddingRun) * parts;
  with_type(a.dtype, [&](auto type) {
    with_type(a.grad_dtype, [&](auto grad) {
      sum_runs<decltype(type), decltype(grad)><<<blocks_for(work), kThreads, 0, stream_of(stream)>>>(a, parts);
      join_runs<decltype(grad)><<<blocks_for(work), kThreads, 0, stream_of(stream)>>>(a, parts);
    });
  });
  return launched();
}

}  // namespace

const Embedding kEmbedding = {forward, backward};

}  // namespace automodel::kernels::cuda
