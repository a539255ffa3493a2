// SwiGLU between two linears with adapters. Alone it is bound by memory; the product of the next linear's adapter over
// the same data (y A^T) would read all of it again. Here tensor cores make it from the registers through which the
// activation goes anyway.
#include "automodel/kernels/adapter/gated_adapter.cuh"

namespace automodel::kernels::cuda {
namespace gated {
namespace {

constexpr int kThreads = 256;
constexpr int kForwardBlocks = 3;  // on a multiprocessor

// Four words of a vector; lanes 8 m + q and 8 m + 4 + q, with chunk q and 4 + q of two rows each, change one of them:
// the first has then both chunks of the first row, the second those of the second.
template <typename T>
__device__ __forceinline__ void pair_rows(Vector<T>& first, Vector<T>& second) {
  const bool upper = threadIdx.x & 4;
  auto *a = reinterpret_cast<uint32_t*>(&first), *b = reinterpret_cast<uint32_t*>(&second);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t got = __shfl_xor_sync(0xffffffffu, upper ? a[i] : b[i], 4);
    (upper ? a[i] : b[i]) = got;
  }
}

// Grid: regions of columns x 128 rows. A warp walks 16 rows, 64 columns at a time, eight lanes to the 128 bytes of a
// row: narrower accesses would halve the speed of memory. Row 4 t + m of them is the t-th of lanes 8 m to 8 m + 7, and
// row 2 m + t % 2 + t / 2 * 8 of the product. There a lane has chunks q and 4 + q of its rows, q its place among four;
// chunk c is two steps of 16 terms of m16n8k16, in which element 4 s + {0, 1} is term 2 q + {0, 1} of step s, and 4 s +
// {2, 3} is 8 + 2 q + {0, 1}: terms may come in any order if both operands agree. Workspace: xa's parts [regions, rows,
// kRanks].
template <typename T, int f>
__global__ void __launch_bounds__(kThreads, kForwardBlocks)
    gated_adapter_forward(const __grid_constant__ GatedAdapterForward a, int64_t columns_each) {
  const int lane = threadIdx.x % 32;
  const int64_t first = int64_t{blockIdx.y} * kRows + threadIdx.x / 32 * 16, row = first + lane / 8;
  const int64_t begin = blockIdx.x * columns_each, end = min(a.columns, begin + columns_each);
  const T* gate = static_cast<const T*>(a.gate_up) + row * a.gate_up_stride + lane % 8 * 8;
  const T* thin = static_cast<const T*>(a.a) + lane / 4 * a.a_stride + lane % 4 * 8;
  T* const y = static_cast<T*>(a.y) + row * a.y_stride + lane % 8 * 8;
  float sums[2][4] = {};
  for (int64_t base = begin; base < end; base += 64) {
    Vector<T> g[4], u[4], b[2][2];
    const bool in = base + lane % 8 * 8 < end;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const bool there = in && row + t * 4 < a.rows;
      const T* from = gate + t * 4 * a.gate_up_stride + base;
      g[t] = there ? Vector<T>::stream(from) : Vector<T>::zero();
      u[t] = there ? Vector<T>::stream(from + a.columns) : Vector<T>::zero();
    }
#pragma unroll
    for (int j = 0; j < 2; ++j)
#pragma unroll
      for (int n = 0; n < 2; ++n)
        b[j][n] = base + j * 32 + lane % 4 * 8 < end ? Vector<T>::load(thin + n * 8 * a.a_stride + base + j * 32)
                                                     : Vector<T>::zero();
#pragma unroll
    for (int t = 0; t < 4; ++t) {
#pragma unroll
      for (int i = 0; i < 8; ++i) g[t].set(i, evaluate<T, f>(g[t][i]).value * u[t][i]);
      if (in && row + t * 4 < a.rows) g[t].stream_to(y + t * 4 * a.y_stride + base);
    }
    pair_rows(g[0], g[1]);
    pair_rows(g[2], g[3]);
    const auto word = [](const Vector<T>& v, int i) { return reinterpret_cast<const uint32_t*>(&v)[i]; };
#pragma unroll
    for (int j = 0; j < 2; ++j)
#pragma unroll
      for (int step = 0; step < 2; ++step) {
        const auto &low = g[j], &high = g[2 + j];
        const uint32_t rows[4] = {word(low, 2 * step), word(high, 2 * step), word(low, 2 * step + 1),
                                  word(high, 2 * step + 1)};
        multiply_add<T>(sums[0], rows, word(b[j][0], 2 * step), word(b[j][0], 2 * step + 1));
        multiply_add<T>(sums[1], rows, word(b[j][1], 2 * step), word(b[j][1], 2 * step + 1));
      }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t r = first + half * 8 + lane / 4 % 2 * 4 + lane / 8;
    if (r >= a.rows) continue;
    float* to = a.workspace + (blockIdx.x * a.rows + r) * kRanks + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < 2; ++n)
      *reinterpret_cast<float2*>(to + n * 8) = make_float2(sums[n][half * 2], sums[n][half * 2 + 1]);
  }
}

// Columns of y in a region, a multiple of 64: the least time with all blocks alike.
int64_t forward_columns(const GatedAdapterForward& a) {
  const int64_t row_blocks = divide_up(a.rows, kRows), places = int64_t{a.multiprocessors} * kForwardBlocks;
  int64_t best = a.columns, least = INT64_MAX;
  for (int64_t regions = 1; regions <= 32; ++regions) {
    const int64_t columns = divide_up(a.columns, regions * 64) * 64;
    const int64_t cost = divide_up(row_blocks * divide_up(a.columns, columns), places) * columns;
    if (cost < least) best = columns, least = cost;
  }
  return best;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) join_gated_forward(const Ranks ranks) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < ranks.rows * ranks.extra / 4) join_ranks<T>(ranks, i);
}

}  // namespace

int64_t forward_workspace(const GatedAdapterForward& a) {
  if (a.dtype == DType::Float || !has_function(a.f) || a.rank > kRanks || a.extra < kRanks || a.rows == 0) return 0;
  if (!aligned16(a.gate_up, a.a, a.y) || a.xa_stride % 4 != 0 ||
      !whole_vectors({a.columns, a.gate_up_stride, a.a_stride, a.y_stride, a.extra}))
    return 0;
  return divide_up(a.columns, forward_columns(a)) * a.rows * kRanks;
}

Status forward(const GatedAdapterForward& a, Stream stream) {
  if (forward_workspace(a) == 0) return static_cast<Status>(cudaErrorInvalidValue);
  const int64_t columns = forward_columns(a), regions = divide_up(a.columns, columns);
  const Ranks ranks{
      a.workspace, a.xa, a.rows, a.extra, divide_up(a.rank, 8) * 8, a.xa_stride, static_cast<int>(regions), 1};
  return with_function_and_type(a.f, a.dtype, [&](auto type, auto f) {
    using T = decltype(type);
    const auto on = stream_of(stream);
    gated_adapter_forward<T, decltype(f)::value>
        <<<dim3(static_cast<unsigned>(regions), static_cast<unsigned>(divide_up(a.rows, kRows))), kThreads, 0, on>>>(
            a, columns);
    join_gated_forward<T><<<blocks_for(divide_up(a.rows * a.extra / 4, kThreads)), kThreads, 0, on>>>(ranks);
    return launched();
  });
}

}  // namespace gated

const GatedAdapter kGatedAdapter = {gated::forward_workspace, gated::backward_workspace, gated::forward,
                                    gated::backward};

}  // namespace automodel::kernels::cuda
