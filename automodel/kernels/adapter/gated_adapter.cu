// SwiGLU between two linears with adapters. Alone it is bound by memory; the thin products of the adapters over the
// same data (y A^T forward; dxa, dB and the next linear's dA backward) would read all of it again. Here tensor cores
// make them from the registers and the shared memory through which the activation goes anyway.
#include "automodel/kernels/activation/activation.cuh"
#include "automodel/kernels/adapter/gated_adapter_cuda.h"
#include "automodel/kernels/adapter/thin_product.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32, kRows = 16 * kWarps, kRanks = 16;

// ---- forward ----

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

// ---- sums of parts ----

// to[row, column] = the sum of `count` parts [rows, pieces kRanks], four columns a thread: piece j's ranks begin at
// column j step of `to`; other columns are zeros.
struct Ranks {
  const float* parts;
  void* to;
  int64_t rows, extra, step, stride;
  int count, pieces;
};

template <typename T>
__device__ __forceinline__ void join_ranks(const Ranks& r, int64_t i) {
  const int64_t row = i / (r.extra / 4), column = i % (r.extra / 4) * 4, j = column / r.step, k = column % r.step;
  float4 sum = make_float4(0, 0, 0, 0);
  const int64_t width = r.pieces * kRanks;
  if (j < r.pieces) sum = sum_parts(r.parts + row * width + j * kRanks + k, r.count, r.rows * width);
  T* to = static_cast<T*>(r.to) + row * r.stride + column;
  to[0] = from_float<T>(sum.x), to[1] = from_float<T>(sum.y), to[2] = from_float<T>(sum.z),
  to[3] = from_float<T>(sum.w);
}

template <typename T>
__global__ void __launch_bounds__(kThreads) join_gated_forward(const Ranks ranks) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < ranks.rows * ranks.extra / 4) join_ranks<T>(ranks, i);
}

// ---- backward ----

constexpr int kWide = 512, kColumns = 64, kStages = 3, kSteps = 4;  // threads; steps of kRows rows a region has
constexpr int64_t kRegionRows = int64_t{kRows} * kSteps;

// Where chunk c (8 elements) of a row of 128 bytes lies: eight rows of one chunk, which one ldmatrix reads, are in
// different banks.
__device__ __forceinline__ int place(int row, int chunk) { return row * kColumns + ((chunk ^ (row & 7)) * 8); }

template <typename T>
struct Shared {
  T tile[kStages][3][kRows * kColumns];  // gate, up, dy; then d_gate, d_up, y in their places
  T xa[kRegionRows * 2 * kRanks];
  T dxa_after[kRegionRows * kRanks];
  T sb[2][2][kColumns * kRanks];  // of two tiles: the gate's, and that of up
  float sums[3][kColumns * kRanks];
};

// What a block copies: its region's rows of tiles of columns. Each thread copies one chunk of rows 64 apart.
template <typename T>
struct Walk {
  const GatedAdapterBackward& a;
  Shared<T>& shared;
  int64_t first_row, first_tile;

  // Starts the copies of step i: kRows rows of a tile of columns, with the tile's sB before its first.
  __device__ __forceinline__ void fetch(int i) const {
    constexpr int kApart = kWide / 8;
    const int r = threadIdx.x / 8, chunk = threadIdx.x % 8;
    const int64_t column = (first_tile + i / kSteps) * kColumns, row = first_row + i % kSteps * kRows + r;
    const bool in = column + chunk * 8 < a.columns;
    const T* gate = static_cast<const T*>(a.gate_up) + row * a.gate_up_stride + column + chunk * 8;
    const T* dy = static_cast<const T*>(a.dy) + row * a.dy_stride + column + chunk * 8;
    auto& to = shared.tile[i % kStages];
#pragma unroll
    for (int c = 0; c < kRows / kApart; ++c) {
      const int at = place(r, chunk) + c * kApart * kColumns;
      const bool there = in && row + c * kApart < a.rows;
      const T* from = gate + c * kApart * a.gate_up_stride;
      copy16(to[0] + at, there ? from : a.gate_up, there);
      copy16(to[1] + at, there ? from + a.columns : a.gate_up, there);
      copy16(to[2] + at, there ? dy + c * kApart * a.dy_stride : a.dy, there);
    }
    if (i % kSteps != 0 || threadIdx.x >= 4 * kColumns) return;
    const int piece = threadIdx.x / (2 * kColumns), n = threadIdx.x / 2 % kColumns, half = threadIdx.x % 2;
    const bool there = column + n < a.columns && half * 8 < a.step;
    const T* sb = static_cast<const T*>(a.sb) + (piece * a.columns + column + n) * a.sb_stride + piece * a.step;
    copy16(shared.sb[i / kSteps % 2][piece] + thin_place<kRanks>(n, half), there ? sb + half * 8 : a.sb, there);
  }

  __device__ __forceinline__ void fetch_thin() const {
    const T* xa = static_cast<const T*>(a.xa);
    const T* after = static_cast<const T*>(a.dxa_after);
    for (int c = threadIdx.x; c < kRegionRows * 4; c += kWide) {
      const int r = c / 4, piece = c / 2 % 2, half = c % 2;
      const bool there = first_row + r < a.rows && half * 8 < a.step;
      copy16(shared.xa + thin_place<2 * kRanks>(r, piece * 2 + half),
             there ? xa + (first_row + r) * a.xa_stride + piece * a.step + half * 8 : xa, there);
    }
    for (int c = threadIdx.x; c < kRegionRows * 2; c += kWide) {
      const int r = c / 2, half = c % 2;
      const bool there = first_row + r < a.rows && half * 8 < a.rank_after;
      copy16(shared.dxa_after + thin_place<kRanks>(r, half),
             there ? after + (first_row + r) * a.dxa_after_stride + half * 8 : after, there);
    }
  }
};

// Gate, up and dy become d_gate, d_up and y, in the tile and (the first two) in memory: a warp has eight rows, eight
// lanes the 128 bytes of one.
template <typename T, int f>
__device__ __forceinline__ void activate(const GatedAdapterBackward& a, T (&tile)[3][kRows * kColumns], int64_t row,
                                         int64_t column) {
  const int r = threadIdx.x / 32 * 8 + threadIdx.x % 32 / 8, chunk = threadIdx.x % 8;
  const bool in = column + chunk * 8 < a.columns;
  T* const to = static_cast<T*>(a.d_gate_up) + (row + r) * a.d_stride + column + chunk * 8;
#pragma unroll
  for (int t = 0; t < 2; ++t) {
    const int at = place(r + t * 4, chunk);
    auto g = Vector<T>::load(tile[0] + at), u = Vector<T>::load(tile[1] + at), d = Vector<T>::load(tile[2] + at);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const Point p = evaluate<T, f>(g[i]);
      const float up = u[i], dy = d[i];
      g.set(i, dy * up * p.slope), u.set(i, dy * p.value), d.set(i, p.value * up);
    }
    g.store(tile[0] + at), u.store(tile[1] + at), d.store(tile[2] + at);
    if (in && row + r + t * 4 < a.rows)
      g.stream_to(to + t * 4 * a.d_stride), u.stream_to(to + t * 4 * a.d_stride + a.columns);
  }
}

// The sums over columns: this warp's 16 rows of d_gate sB_gate (the first eight warps) or d_up sB_up.
template <typename T>
__device__ __forceinline__ void multiply_rows(const T* tile, const T* sb, float (&dxa)[2][4]) {
  const int first = threadIdx.x / 32 % 8 * 16, lane = threadIdx.x % 32;
#pragma unroll
  for (int k = 0; k < kColumns / 16; ++k) {
    uint32_t rows[4], b[4];
    load_matrices(rows, tile + place(first + lane % 16, k * 2 + lane / 16));
    load_transposed(b, sb + thin_place<kRanks>(k * 16 + lane % 16, lane / 16));
    multiply_add<T>(dxa[0], rows, b[0], b[1]);
    multiply_add<T>(dxa[1], rows, b[2], b[3]);
  }
}

// The sums over rows: 16 columns and 8 ranks of d_gate^T xa_gate, d_up^T xa_up and y^T dxa_after, by the first eight
// warps of the first half of the rows, by the others of the second.
template <typename T>
__device__ __forceinline__ void multiply_columns(const T (&tile)[3][kRows * kColumns], const T* xa, const T* dxa_after,
                                                 float (&sums)[3][4]) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, columns = warp % 4, ranks = warp / 4 % 2;
  const int first = warp / 8 * (kRows / 2);
#pragma unroll
  for (int k = 0; k < kRows / 2; k += 32) {
    uint32_t b[3][4];
    load_transposed(b[0], xa + thin_place<2 * kRanks>(first + k + lane, ranks));
    load_transposed(b[1], xa + thin_place<2 * kRanks>(first + k + lane, 2 + ranks));
    load_transposed(b[2], dxa_after + thin_place<kRanks>(first + k + lane, ranks));
#pragma unroll
    for (int step = 0; step < 2; ++step)
#pragma unroll
      for (int m = 0; m < 3; ++m) {
        uint32_t rows[4];
        load_transposed(rows,
                        tile[m] + place(first + k + step * 16 + lane % 8 + lane / 16 * 8, columns * 2 + lane / 8 % 2));
        multiply_add<T>(sums[m], rows, b[m][2 * step], b[m][2 * step + 1]);
      }
  }
}

// The two halves of the rows together, to memory.
template <typename T>
__device__ __forceinline__ void store_columns(const GatedAdapterBackward& a, Shared<T>& shared, int64_t column,
                                              const float (&sums)[3][4], float* to) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int at = (warp % 4 * 16 + lane / 4) * kRanks + warp / 4 % 2 * 8 + lane % 4 * 2;
  const auto half_of = [&](int m, int half) {
    return reinterpret_cast<float2*>(shared.sums[m] + at + half * 8 * kRanks);
  };
  if (warp >= 8)
    for (int m = 0; m < 3; ++m)
      for (int half = 0; half < 2; ++half) *half_of(m, half) = make_float2(sums[m][half * 2], sums[m][half * 2 + 1]);
  __syncthreads();
  if (warp >= 8) return;
#pragma unroll
  for (int m = 0; m < 3; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (column + warp % 4 * 16 + lane / 4 + half * 8 >= a.columns) continue;
      const float2 other = *half_of(m, half);
      *reinterpret_cast<float2*>(to + (m * a.columns + column) * kRanks + at + half * 8 * kRanks) =
          make_float2(sums[m][half * 2] + other.x, sums[m][half * 2 + 1] + other.y);
    }
}

// Tiles of columns a region has; the regions then fill the multiprocessors evenly.
struct Cut {
  int tiles_each, regions, row_regions;
};
Cut cut_of(const GatedAdapterBackward& a) {
  const int64_t tiles = divide_up(a.columns, kColumns), row_regions = divide_up(a.rows, kRegionRows);
  Cut best{};
  int64_t least = INT64_MAX;
  for (int64_t each = 1; each <= tiles; ++each) {
    const int64_t regions = divide_up(tiles, each), cost = divide_up(regions * row_regions, a.multiprocessors) * each;
    if (cost <= least)
      best = {static_cast<int>(each), static_cast<int>(regions), static_cast<int>(row_regions)}, least = cost;
  }
  return best;
}

// Workspace: dxa's parts [regions, rows, 2 kRanks], then those of db and da [row regions, 3, columns, kRanks].
float* sums_of_columns(const GatedAdapterBackward& a, const Cut& cut) {
  return a.workspace + cut.regions * a.rows * 2 * kRanks;
}

template <typename T, int f>
__global__ void __launch_bounds__(kWide, 1)
    gated_adapter_backward(const __grid_constant__ GatedAdapterBackward a, const Cut cut, float* column_parts) {
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<Shared<T>*>(memory);
  const Walk<T> walk{a, shared, blockIdx.y * kRegionRows, int64_t{blockIdx.x} * cut.tiles_each};
  const int tiles = static_cast<int>(min(int64_t{cut.tiles_each}, divide_up(a.columns, kColumns) - walk.first_tile));
  const int steps = tiles * kSteps, warp = threadIdx.x / 32, lane = threadIdx.x % 32, piece = warp / 8;

  float dxa[kSteps][2][4] = {};  // of this warp's piece
  walk.fetch_thin();
  for (int i = 0; i < kStages - 1; ++i) {
    if (i < steps) walk.fetch(i);
    asm volatile("cp.async.commit_group;");
  }
  for (int tile = 0; tile < tiles; ++tile) {
    const int64_t column = (walk.first_tile + tile) * kColumns;
    float sums[3][4] = {};
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const int i = tile * kSteps + s;
      auto& at = shared.tile[i % kStages];
      asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2));
      __syncthreads();
      if (i + kStages - 1 < steps) walk.fetch(i + kStages - 1);
      asm volatile("cp.async.commit_group;");
      activate<T, f>(a, at, walk.first_row + s * kRows, column);
      __syncthreads();
      multiply_rows<T>(at[piece], shared.sb[tile % 2][piece], dxa[s]);
      multiply_columns<T>(at, shared.xa + s * kRows * 2 * kRanks, shared.dxa_after + s * kRows * kRanks, sums);
    }
    store_columns(a, shared, column, sums, column_parts + blockIdx.y * 3 * a.columns * kRanks);
  }
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = walk.first_row + s * kRows + warp % 8 * 16 + lane / 4 + half * 8;
      if (row >= a.rows) continue;
      float* to = a.workspace + ((blockIdx.x * a.rows + row) * 2 + piece) * kRanks + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < 2; ++n)
        *reinterpret_cast<float2*>(to + n * 8) = make_float2(dxa[s][n][half * 2], dxa[s][n][half * 2 + 1]);
    }
}

template <typename G>
__device__ __forceinline__ void add_to(G* to, float value, float beta) {
  *to = from_float<G>(value + (beta == 0 ? 0 : beta * to_float(*to)));
}

// Threads of dxa (four columns each), then of db (four ranks of a row), then of da (four ranks of a column).
template <typename T, typename G>
__global__ void __launch_bounds__(kThreads) join_gated_backward(const __grid_constant__ GatedAdapterBackward a,
                                                                const Ranks ranks, const float* parts, int count) {
  int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < a.rows * a.extra / 4) return join_ranks<T>(ranks, i);
  i -= a.rows * a.extra / 4;
  const int64_t stride = 3 * a.columns * kRanks;
  if (i < 2 * a.columns * (kRanks / 4)) {
    const int64_t row = i / (kRanks / 4), k = i % (kRanks / 4) * 4;
    if (k >= a.rank) return;
    const float4 sum = sum_parts(parts + row * kRanks + k, count, stride);
    const float values[4] = {sum.x, sum.y, sum.z, sum.w};
    for (int e = 0; e < 4 && k + e < a.rank; ++e)
      add_to(static_cast<G*>(a.db) + row * a.rank + k + e, a.scale * values[e], a.beta_b);
    return;
  }
  i -= 2 * a.columns * (kRanks / 4);
  const int64_t column = i % a.columns, k = i / a.columns * 4;
  if (k >= a.rank_after) return;
  const float4 sum = sum_parts(parts + (2 * a.columns + column) * kRanks + k, count, stride);
  const float values[4] = {sum.x, sum.y, sum.z, sum.w};
  for (int e = 0; e < 4 && k + e < a.rank_after; ++e)
    add_to(static_cast<G*>(a.da) + (k + e) * a.columns + column, values[e], a.beta_a);
}

// ---- on the host ----

bool has_function(int32_t f) { return f == kSilu || f == kGeluTanh; }
template <typename F>
Status with_function_and_type(int32_t f, DType dtype, const F& run) {
  using Silu = std::integral_constant<int, kSilu>;
  using Gelu = std::integral_constant<int, kGeluTanh>;
  if (dtype == DType::BFloat16) return f == kSilu ? run(bf16{}, Silu{}) : run(bf16{}, Gelu{});
  return f == kSilu ? run(__half{}, Silu{}) : run(__half{}, Gelu{});
}

bool whole_vectors(std::initializer_list<int64_t> sizes) {
  return std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size % 8 == 0; });
}

int64_t forward_workspace(const GatedAdapterForward& a) {
  if (a.dtype == DType::Float || !has_function(a.f) || a.rank > kRanks || a.extra < kRanks || a.rows == 0) return 0;
  if (!aligned16(a.gate_up, a.a, a.y) || a.xa_stride % 4 != 0 ||
      !whole_vectors({a.columns, a.gate_up_stride, a.a_stride, a.y_stride, a.extra}))
    return 0;
  return divide_up(a.columns, forward_columns(a)) * a.rows * kRanks;
}

int64_t backward_workspace(const GatedAdapterBackward& a) {
  if (a.dtype == DType::Float || (a.grad_dtype != DType::Float && a.grad_dtype != a.dtype) || !has_function(a.f) ||
      std::max(a.rank, a.rank_after) > kRanks || a.rows == 0 || !has_shared_memory(sizeof(Shared<bf16>)))
    return 0;
  if (!aligned16(a.gate_up, a.dy, a.xa, a.sb, a.dxa_after, a.d_gate_up) ||
      !whole_vectors({a.columns, a.gate_up_stride, a.dy_stride, a.xa_stride, a.sb_stride, a.dxa_after_stride,
                      a.d_stride, a.extra, a.step}))
    return 0;
  const Cut cut = cut_of(a);
  return (cut.regions * a.rows * 2 + int64_t{cut.row_regions} * 3 * a.columns) * kRanks;
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

Status backward(const GatedAdapterBackward& a, Stream stream) {
  if (backward_workspace(a) == 0) return static_cast<Status>(cudaErrorInvalidValue);
  const Cut cut = cut_of(a);
  float* const parts = sums_of_columns(a, cut);
  const Ranks ranks{a.workspace, a.dxa, a.rows, a.extra, a.step, a.dxa_stride, cut.regions, 2};
  return with_function_and_type(a.f, a.dtype, [&](auto type, auto f) {
    using T = decltype(type);
    const auto kernel = gated_adapter_backward<T, decltype(f)::value>;
    const auto allowed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared<T>));
    if (allowed != cudaSuccess) return static_cast<Status>(allowed);
    const auto on = stream_of(stream);
    kernel<<<dim3(static_cast<unsigned>(cut.regions), static_cast<unsigned>(cut.row_regions)), kWide, sizeof(Shared<T>),
             on>>>(a, cut, parts);
    const unsigned blocks = blocks_for(divide_up(a.rows * a.extra / 4 + 3 * a.columns * (kRanks / 4), kThreads));
    if (a.grad_dtype == DType::Float)
      join_gated_backward<T, float><<<blocks, kThreads, 0, on>>>(a, ranks, parts, cut.row_regions);
    else
      join_gated_backward<T, T><<<blocks, kThreads, 0, on>>>(a, ranks, parts, cut.row_regions);
    return launched();
  });
}

}  // namespace

const GatedAdapter kGatedAdapter = {forward_workspace, backward_workspace, forward, backward};

}  // namespace automodel::kernels::cuda
