#include "automodel/kernels/cuda/device.cuh"
#include "automodel/kernels/rms_norm/norm_cuda.h"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256;
template <int kPerRow>
inline constexpr int kBlock = kPerRow == 32 ? kThreads : kPerRow;

// The sum over the threads that share a row: a warp, or the block.
template <int kPerRow>
__device__ __forceinline__ float row_sum(float x) {
  if constexpr (kPerRow == 32)
    return warp_sum(x);
  else
    return block_sum<kPerRow>(x);
}

// A row lies in the registers of kPerRow threads, kVectors vectors each.
template <typename T, int kVectors, int kPerRow>
__global__ void __launch_bounds__(kBlock<kPerRow>) forward_in_registers(NormForward a) {
  constexpr int N = kVector<T>, kRows = kBlock<kPerRow> / kPerRow;
  const int lane = threadIdx.x % kPerRow, vectors = static_cast<int>(a.columns / N);
  const float inverse = 1.0f / static_cast<float>(a.columns);
  for (int64_t row = int64_t(blockIdx.x) * kRows + threadIdx.x / kPerRow; row < a.rows;
       row += int64_t(gridDim.x) * kRows) {
    const T* x = static_cast<const T*>(a.x) + row * a.x_stride;
    Vector<T> v[kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int c = lane + i * kPerRow;
      v[i] = c < vectors ? Vector<T>::load(x + c * N) : Vector<T>::zero();
    }
    float mean = 0;
    if (a.center) {
      float total = 0;
#pragma unroll
      for (int i = 0; i < kVectors; ++i)
#pragma unroll
        for (int j = 0; j < N; ++j) total += v[i][j];
      mean = row_sum<kPerRow>(total) * inverse;
    }
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kVectors; ++i)
      if (lane + i * kPerRow < vectors) {
#pragma unroll
        for (int j = 0; j < N; ++j) squares += (v[i][j] - mean) * (v[i][j] - mean);
      }
    const float rstd = rsqrtf(row_sum<kPerRow>(squares) * inverse + a.eps);
    if (lane == 0 && a.rstd) a.rstd[row] = rstd;
    if (lane == 0 && a.mean) a.mean[row] = mean;
    const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
    T* y = static_cast<T*>(a.y) + row * a.y_stride;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int c = lane + i * kPerRow;
      if (c >= vectors) continue;
      const auto w = Vector<T>::load(weight + c * N);
      const auto b = bias ? Vector<T>::load(bias + c * N) : Vector<T>::zero();
#pragma unroll
      for (int j = 0; j < N; ++j) v[i].set(j, (v[i][j] - mean) * rstd * (w[j] + a.shift) + b[j]);
      v[i].store(y + c * N);
    }
  }
}

// Any width and alignment: a block walks its row three times, the second and third time out of the cache.
template <typename T>
__global__ void __launch_bounds__(kThreads) forward_by_walking(NormForward a) {
  const float inverse = 1.0f / static_cast<float>(a.columns);
  const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
  for (int64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const T* h = static_cast<const T*>(a.x) + row * a.x_stride;
    float mean = 0, squares = 0;
    if (a.center) {
      for (int64_t c = threadIdx.x; c < a.columns; c += kThreads) mean += to_float(h[c]);
      mean = block_sum<kThreads>(mean) * inverse;
    }
    for (int64_t c = threadIdx.x; c < a.columns; c += kThreads) {
      const float x = to_float(h[c]) - mean;
      squares += x * x;
    }
    const float rstd = rsqrtf(block_sum<kThreads>(squares) * inverse + a.eps);
    if (threadIdx.x == 0 && a.rstd) a.rstd[row] = rstd;
    if (threadIdx.x == 0 && a.mean) a.mean[row] = mean;
    T* y = static_cast<T*>(a.y) + row * a.y_stride;
    for (int64_t c = threadIdx.x; c < a.columns; c += kThreads)
      y[c] = from_float<T>((to_float(h[c]) - mean) * rstd * (to_float(weight[c]) + a.shift) +
                           (bias ? to_float(bias[c]) : 0.0f));
  }
}

// A row of what the backward reads.
template <typename T, int kVectors>
struct BackwardRow {
  Vector<T> x[kVectors], g[kVectors], t[kVectors];
  float rstd, mean;

  template <int kPerRow>
  __device__ __forceinline__ void load(const NormBackward& a, int64_t row, int lane, int vectors) {
    constexpr int N = kVector<T>;
    const T *h = static_cast<const T*>(a.x) + row * a.x_stride, *dy = static_cast<const T*>(a.dy) + row * a.dy_stride;
    const T* through = a.through ? static_cast<const T*>(a.through) + row * a.through_stride : nullptr;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int c = lane + i * kPerRow;
      const bool inside = c < vectors;
      x[i] = inside ? Vector<T>::stream(h + c * N) : Vector<T>::zero();
      g[i] = inside ? Vector<T>::stream(dy + c * N) : Vector<T>::zero();
      t[i] = inside && through ? Vector<T>::stream(through + c * N) : Vector<T>::zero();
    }
    rstd = a.rstd[row];
    mean = a.center ? a.mean[row] : 0.0f;
  }
};

// kGrads: how many sums of weights' gradients stay in registers over all rows of a block: none, dw, or dw and db.
// Bounds on registers keep enough rows in flight: 48 KB a multiprocessor at least.
template <int kVectors, int kPerRow, int kGrads>
inline constexpr int kBlocks = kPerRow > 256                  ? 1024 / kPerRow - (kGrads > 0)
                               : kGrads == 0                  ? 4
                               : kVectors <= 1                ? 4
                               : kVectors <= 2 && kGrads == 1 ? 3
                                                              : 2;

template <typename T, int kVectors, int kPerRow, int kGrads>
__global__ void __launch_bounds__(kBlock<kPerRow>, kBlocks<kVectors, kPerRow, kGrads>)
    backward_in_registers(NormBackward a) {
  constexpr int N = kVector<T>, kRows = kBlock<kPerRow> / kPerRow, kKept = kGrads ? kVectors * N : 1;
  const int lane = threadIdx.x % kPerRow, vectors = static_cast<int>(a.columns / N);
  const float inverse = 1.0f / static_cast<float>(a.columns);
  const T* weight = static_cast<const T*>(a.weight);
  float dw[kKept] = {}, db[kGrads == 2 ? kKept : 1] = {};
  for (int64_t row = int64_t(blockIdx.x) * kRows + threadIdx.x / kPerRow; row < a.rows;
       row += int64_t(gridDim.x) * kRows) {
    BackwardRow<T, kVectors> now;
    now.template load<kPerRow>(a, row, lane, vectors);
    float dot = 0, total = 0;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int c = lane + i * kPerRow;
      const auto w = c < vectors ? Vector<T>::load(weight + c * N) : Vector<T>::zero();
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float n = (now.x[i][j] - now.mean) * now.rstd, gw = now.g[i][j] * (w[j] + a.shift);
        dot += gw * n;
        total += gw;
        if constexpr (kGrads > 0) {
          dw[i * N + j] += now.g[i][j] * n;
          if constexpr (kGrads == 2) db[i * N + j] += now.g[i][j];
        }
      }
    }
    dot = row_sum<kPerRow>(dot) * inverse;
    total = a.center ? row_sum<kPerRow>(total) * inverse : 0.0f;
    T* dx = static_cast<T*>(a.dx) + row * a.dx_stride;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int c = lane + i * kPerRow;
      if (c >= vectors) continue;
      const auto w = Vector<T>::load(weight + c * N);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float n = (now.x[i][j] - now.mean) * now.rstd, gw = now.g[i][j] * (w[j] + a.shift);
        now.x[i].set(j, now.t[i][j] + now.rstd * (gw - total - n * dot));
      }
      now.x[i].store(dx + c * N);
    }
  }
  if constexpr (kGrads > 0) {
    __shared__ float sums[kRows > 1 ? kPerRow * kVectors * N : 1];  // warps add their rows one after the other
    for (int which = 0; which < kGrads; ++which) {
      float* partial = which == 0 ? a.partial_weight : a.partial_bias;
      if (!partial) continue;
      partial += int64_t(blockIdx.x) * a.columns;
      for (int turn = 0; turn < kRows; ++turn) {
        if (kRows > 1) __syncthreads();
        if (threadIdx.x / kPerRow != turn) continue;
#pragma unroll
        for (int i = 0; i < kVectors; ++i)
#pragma unroll
          for (int j = 0; j < N; ++j) {
            const int c = (lane + i * kPerRow) * N + j;
            float sum = which == 0 ? dw[i * N + j] : db[kGrads == 2 ? i * N + j : 0];
            if (kRows > 1) {
              if (turn > 0) sum += sums[c];
              sums[c] = sum;
            }
            if (turn == kRows - 1 && c < a.columns) partial[c] = sum;
          }
      }
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) backward_by_walking(NormBackward a) {
  const float inverse = 1.0f / static_cast<float>(a.columns);
  const T* weight = static_cast<const T*>(a.weight);
  float* dw = a.partial_weight ? a.partial_weight + int64_t(blockIdx.x) * a.columns : nullptr;
  float* db = a.partial_bias ? a.partial_bias + int64_t(blockIdx.x) * a.columns : nullptr;
  for (int64_t c = threadIdx.x; c < a.columns; c += kThreads) {  // a column's sums belong to one thread
    if (dw) dw[c] = 0;
    if (db) db[c] = 0;
  }
  for (int64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const T *h = static_cast<const T*>(a.x) + row * a.x_stride, *dy = static_cast<const T*>(a.dy) + row * a.dy_stride;
    const T* through = a.through ? static_cast<const T*>(a.through) + row * a.through_stride : nullptr;
    T* dx = static_cast<T*>(a.dx) + row * a.dx_stride;
    const float rstd = a.rstd[row], mean = a.center ? a.mean[row] : 0.0f;
    float dot = 0, total = 0;
    for (int64_t c = threadIdx.x; c < a.columns; c += kThreads) {
      const float g = to_float(dy[c]), n = (to_float(h[c]) - mean) * rstd, gw = g * (to_float(weight[c]) + a.shift);
      dot += gw * n;
      total += gw;
      if (dw) dw[c] += g * n;
      if (db) db[c] += g;
    }
    dot = block_sum<kThreads>(dot) * inverse;
    total = a.center ? block_sum<kThreads>(total) * inverse : 0.0f;
    for (int64_t c = threadIdx.x; c < a.columns; c += kThreads) {
      const float n = (to_float(h[c]) - mean) * rstd, gw = to_float(dy[c]) * (to_float(weight[c]) + a.shift);
      dx[c] = from_float<T>((through ? to_float(through[c]) : 0.0f) + rstd * (gw - total - n * dot));
    }
  }
}

// A block sums 32 columns, 32 rows at a time.
constexpr int kSumThreads = 1024;
template <typename T>
__global__ void __launch_bounds__(kSumThreads) sum_columns(ColumnSum a) {
  __shared__ float sums[32][33];
  const int x = threadIdx.x % 32, y = threadIdx.x / 32;
  for (int64_t first = int64_t(blockIdx.x) * 32; first < a.columns; first += int64_t(gridDim.x) * 32) {
    const int64_t c = first + x;
    float sum = 0;
    if (c < a.columns) {
#pragma unroll 4
      for (int64_t r = y; r < a.rows; r += 32) sum += a.partial[r * a.columns + c];
    }
    sums[y][x] = sum;
    __syncthreads();
    if (y == 0 && c < a.columns) {
      for (int i = 1; i < 32; ++i) sum += sums[i][x];
      T* to = static_cast<T*>(a.sum) + c;
      *to = from_float<T>(sum + (a.add ? to_float(*to) : 0.0f));
    }
    __syncthreads();
  }
}

template <int kVectors, int kPerRow>
struct Layout {
  enum { vectors = kVectors, per_row = kPerRow, block = kBlock<kPerRow>, rows = kBlock<kPerRow> / kPerRow };
};

// Calls f(layout) for the first layout that holds a row in registers; false where none does.
template <typename T, typename... Layouts, typename F>
bool with_layout(int64_t columns, const F& f) {
  constexpr int N = kVector<T>;
  return columns % N == 0 &&
         ((columns / N <= Layouts::vectors * Layouts::per_row ? (f(Layouts{}), true) : false) || ...);
}

// Measured on an H200 from 2,048 to 8,192 columns of bf16.
template <typename T, typename F>
bool with_forward_layout(int64_t columns, const F& f) {
  return with_layout<T, Layout<1, 32>, Layout<2, 32>, Layout<4, 32>, Layout<8, 32>, Layout<4, 128>, Layout<4, 256>,
                     Layout<8, 256>>(columns, f);
}
template <typename T, typename F>
bool with_backward_layout(int64_t columns, const F& f) {
  return with_layout<T, Layout<1, 32>, Layout<2, 32>, Layout<1, 128>, Layout<1, 256>, Layout<2, 256>, Layout<2, 512>>(
      columns, f);
}
template <typename T, typename F>
bool with_gradient_layout(int64_t columns, const F& f) {
  return with_layout<T, Layout<1, 32>, Layout<2, 32>, Layout<1, 128>, Layout<1, 256>, Layout<2, 256>, Layout<2, 512>>(
      columns, f);
}

Status forward(const NormForward& a, Stream stream) {
  if (a.rows == 0 || a.columns == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int N = kVector<T>;
    const bool vectors = aligned16(a.x, a.weight, a.bias, a.y) && a.x_stride % N == 0 && a.y_stride % N == 0;
    const bool done = vectors && with_forward_layout<T>(a.columns, [&](auto layout) {
                        using L = decltype(layout);
                        forward_in_registers<T, L::vectors, L::per_row>
                            <<<blocks_for(divide_up(a.rows, L::rows)), L::block, 0, stream_of(stream)>>>(a);
                      });
    if (!done) forward_by_walking<T><<<blocks_for(a.rows), kThreads, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

Status backward(const NormBackward& given, Stream stream) {
  NormBackward a = given;
  if (a.through_stride == 0) a.through_stride = a.columns;
  if (a.dx_stride == 0) a.dx_stride = a.columns;
  const bool grads = a.partial_weight || a.partial_bias;
  if (a.columns == 0 || (a.rows == 0 && !grads)) return 0;
  const int64_t most = grads ? a.partials : int64_t{1} << 30;  // with partial sums exactly as many blocks as asked for
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int N = kVector<T>;
    const bool vectors = aligned16(a.x, a.weight, a.dy, a.through, a.dx) && a.x_stride % N == 0 &&
                         a.dy_stride % N == 0 && a.through_stride % N == 0 && a.dx_stride % N == 0;
    const auto on = stream_of(stream);
    const bool done =
        vectors &&
        (!grads ? with_backward_layout<T>(a.columns,
                                          [&](auto layout) {
                                            using L = decltype(layout);
                                            backward_in_registers<T, L::vectors, L::per_row, 0>
                                                <<<blocks_for(divide_up(a.rows, L::rows)), L::block, 0, on>>>(a);
                                          })
                : with_gradient_layout<T>(a.columns, [&](auto layout) {
                    using L = decltype(layout);
                    if (a.partial_bias)
                      backward_in_registers<T, L::vectors, L::per_row, 2><<<blocks_for(most), L::block, 0, on>>>(a);
                    else
                      backward_in_registers<T, L::vectors, L::per_row, 1><<<blocks_for(most), L::block, 0, on>>>(a);
                  }));
    if (!done)
      backward_by_walking<T><<<grads ? blocks_for(most) : blocks_for(a.rows), kThreads, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

Status column_sum(const ColumnSum& a, Stream stream) {
  if (a.columns == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    sum_columns<decltype(type)><<<blocks_for(divide_up(a.columns, 32)), kSumThreads, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

}  // namespace

const Norm kNorm = {forward, backward, column_sum};

}  // namespace automodel::kernels::cuda
