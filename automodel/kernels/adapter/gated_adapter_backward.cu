// The backward of SwiGLU between two linears with adapters. The thin products of the adapters over the same data (dxa,
// dB and the next linear's dA) would read all of it again. Here tensor cores make them from the shared memory through
// which the gradients go anyway.
#include "automodel/kernels/adapter/gated_adapter.cuh"
#include "automodel/kernels/dropout/drop.cuh"

namespace automodel::kernels::cuda::gated {
namespace {

constexpr int kThreads = 256;                                       // of the sums of parts
constexpr int kWide = 512, kColumns = 64, kStages = 3, kSteps = 4;  // threads; steps of kRows rows a region has
constexpr int64_t kRegionRows = int64_t{kRows} * kSteps;

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
      const int at = wide_place<kColumns>(r, chunk) + c * kApart * kColumns;
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
// lanes the 128 bytes of one. In the tile, of which the adapters' gradients are made, zeros lie where the mask drops.
template <typename T, int f, bool kDrops>
__device__ __forceinline__ void activate(const GatedAdapterBackward& a, T (&tile)[3][kRows * kColumns], int64_t row,
                                         int64_t column) {
  const int r = threadIdx.x / 32 * 8 + threadIdx.x % 32 / 8, chunk = threadIdx.x % 8;
  const bool in = column + chunk * 8 < a.columns;
  T* const to = static_cast<T*>(a.d_gate_up) + (row + r) * a.d_stride + column + chunk * 8;
#pragma unroll
  for (int t = 0; t < 2; ++t) {
    const int at = wide_place<kColumns>(r + t * 4, chunk);
    auto g = Vector<T>::load(tile[0] + at), u = Vector<T>::load(tile[1] + at), d = Vector<T>::load(tile[2] + at);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const Point p = evaluate<T, f>(g[i]);
      const float up = u[i], dy = d[i];
      g.set(i, dy * up * p.slope), u.set(i, dy * p.value), d.set(i, p.value * up);
    }
    const auto store = [&] { g.store(tile[0] + at), u.store(tile[1] + at), d.store(tile[2] + at); };
    if constexpr (!kDrops) store();
    if (in && row + r + t * 4 < a.rows)
      g.stream_to(to + t * 4 * a.d_stride), u.stream_to(to + t * 4 * a.d_stride + a.columns);
    if constexpr (kDrops) {
      const int64_t element = (row + r + t * 4) * 2 * a.columns + column + chunk * 8;
      zero_dropped(g, staying(a.mask, element)), zero_dropped(u, staying(a.mask, element + a.columns));
      store();
    }
  }
}

// The sums over columns: this warp's 16 rows of d_gate sB_gate (the first eight warps) or d_up sB_up.
template <typename T>
__device__ __forceinline__ void multiply_rows(const T* tile, const T* sb, float (&dxa)[2][4]) {
  const int first = threadIdx.x / 32 % 8 * 16, lane = threadIdx.x % 32;
#pragma unroll
  for (int k = 0; k < kColumns / 16; ++k) {
    uint32_t rows[4], b[4];
    load_matrices(rows, tile + wide_place<kColumns>(first + lane % 16, k * 2 + lane / 16));
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
        load_transposed(rows, tile[m] + wide_place<kColumns>(first + k + step * 16 + lane % 8 + lane / 16 * 8,
                                                             columns * 2 + lane / 8 % 2));
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

template <typename T, int f, bool kDrops>
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
      activate<T, f, kDrops>(a, at, walk.first_row + s * kRows, column);
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
      add_to(static_cast<G*>(a.db) + row * a.rank + k + e, a.scale * a.mask.kept * values[e], a.beta_b);
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

}  // namespace

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

Status backward(const GatedAdapterBackward& a, Stream stream) {
  if (backward_workspace(a) == 0) return static_cast<Status>(cudaErrorInvalidValue);
  const Cut cut = cut_of(a);
  float* const parts = sums_of_columns(a, cut);
  const Ranks ranks{a.workspace, a.dxa, a.rows, a.extra, a.step, a.dxa_stride, cut.regions, 2, a.mask.kept};
  return with_function_and_type(a.f, a.dtype, [&](auto type, auto f) {
    using T = decltype(type);
    const auto kernel = a.mask.threshold > 0 ? gated_adapter_backward<T, decltype(f)::value, true>
                                             : gated_adapter_backward<T, decltype(f)::value, false>;
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

}  // namespace automodel::kernels::cuda::gated
