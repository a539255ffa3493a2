// dxa = dy sB and dB = dy^T xa, both thin: what they cost is reading dy, so one kernel makes both.
//
// A block owns a region of rows and of columns of dy and walks it in tiles of 128 x 128 through shared memory. Each
// warp holds the sums of dxa for its 16 rows of every step in registers, and those of dB for its 16 columns of the
// tile. What regions have in common is summed by a second kernel, in order: no atomics.
#include "automodel/kernels/adapter/adapter_cuda.h"
#include "automodel/kernels/adapter/thin_product.cuh"
#include "automodel/kernels/dropout/drop.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256, kTile = 128, kStages = 3;

// Of rank kRanks (16 or 32): how many rows a region has, so that the sums of dxa take 64 registers.
template <int kRanks>
constexpr int kSteps = 128 / kRanks;
template <int kRanks>
constexpr int64_t kRegionRows = int64_t{kTile} * kSteps<kRanks>;

struct Region {
  int64_t tile, tiles;  // of its piece
};

// How the columns are cut: tiles_each tiles a region, regions of the pieces one after the other.
struct Cut {
  int tiles_each;
  int first[AdapterGradients::kMostPieces + 1];  // region of each piece
  __host__ __device__ int regions(int pieces) const { return first[pieces]; }
};

__host__ __device__ inline int64_t tiles_of(const AdapterColumns& piece) { return divide_up(piece.rows, kTile); }

Cut cut_by(const AdapterGradients& a, int tiles_each) {
  Cut cut{tiles_each, {}};
  for (int j = 0; j < a.pieces; ++j)
    cut.first[j + 1] = cut.first[j] + static_cast<int>(divide_up(tiles_of(a.piece[j]), tiles_each));
  return cut;
}

// The fewest tiles one after the other, with a block on each multiprocessor.
Cut best_cut(const AdapterGradients& a, int64_t row_regions) {
  Cut best{};
  int64_t least = 0;
  for (int tiles = 1; tiles <= 64; ++tiles) {
    const Cut cut = cut_by(a, tiles);
    const int64_t blocks = cut.regions(a.pieces) * row_regions, cost = divide_up(blocks, a.multiprocessors) * tiles;
    if (least == 0 || cost <= least) best = cut, least = cost;
  }
  return best;
}

template <typename T, int kRanks>
struct Shared {
  T dy[kStages][kTile * kTile];
  T xa[kRegionRows<kRanks> * kRanks];
  T sb[2][kTile * kRanks];
};

template <typename T, int kRanks>
struct Walk {
  const AdapterGradients& a;
  Shared<T, kRanks>& shared;
  const AdapterColumns piece;
  int64_t first_row, first_tile, step_begin;  // step_begin: the piece's first column of xa, sb and dxa

  // Starts the copies of step i: 128 rows of a tile, with the tile's sB before its first.
  __device__ __forceinline__ void fetch(int i) const {
    const int64_t column = (first_tile + i / kSteps<kRanks>)*kTile, row = first_row + i % kSteps<kRanks> * kTile;
    T* to = shared.dy[i % kStages];
    const T* from = static_cast<const T*>(a.dy) + piece.begin;
#pragma unroll
    for (int c = 0; c < kTile * kTile / 8 / kThreads; ++c) {
      const int r = (c * kThreads + threadIdx.x) / (kTile / 8), chunk = threadIdx.x % (kTile / 8);
      const bool there = row + r < a.tokens && column + chunk * 8 < piece.rows;
      copy16(to + wide_place<kTile>(r, chunk), there ? from + (row + r) * a.dy_stride + column + chunk * 8 : from,
             there);
    }
    if (i % kSteps<kRanks> != 0) return;
    const T* sb = static_cast<const T*>(a.sb) + step_begin;
    for (int c = threadIdx.x; c < kTile * kRanks / 8; c += kThreads) {
      const int n = c / (kRanks / 8), chunk = c % (kRanks / 8);
      const bool there = column + n < piece.rows && chunk * 8 < a.step;
      copy16(shared.sb[i / kSteps<kRanks> % 2] + thin_place<kRanks>(n, chunk),
             there ? sb + (piece.begin + column + n) * a.sb_stride + chunk * 8 : sb, there);
    }
  }
  // Zeros in step i where the mask drops, by each thread in what it copied itself: nobody else needs to have it.
  __device__ __forceinline__ void drop_fetched(int i) const {
    const int64_t column = piece.begin + (first_tile + i / kSteps<kRanks>)*kTile;
    const int64_t row = first_row + i % kSteps<kRanks> * kTile;
#pragma unroll
    for (int c = 0; c < kTile * kTile / 8 / kThreads; ++c) {
      const int r = (c * kThreads + threadIdx.x) / (kTile / 8), chunk = threadIdx.x % (kTile / 8);
      T* const at = shared.dy[i % kStages] + wide_place<kTile>(r, chunk);
      auto v = Vector<T>::load(at);
      zero_dropped(v, staying(a.mask, (row + r) * a.mask_columns + column + chunk * 8));
      v.store(at);
    }
  }
  __device__ __forceinline__ void fetch_xa() const {
    const T* xa = static_cast<const T*>(a.xa) + step_begin;
    for (int c = threadIdx.x; c < kRegionRows<kRanks> * kRanks / 8; c += kThreads) {
      const int r = c / (kRanks / 8), chunk = c % (kRanks / 8);
      const bool there = first_row + r < a.tokens && chunk * 8 < a.step;
      copy16(shared.xa + thin_place<kRanks>(r, chunk), there ? xa + (first_row + r) * a.xa_stride + chunk * 8 : xa,
             there);
    }
  }
};

// One step: dxa's sums of this warp's 16 rows, dB's of its 16 columns.
template <typename T, int kRanks>
__device__ __forceinline__ void multiply_step(const T* dy, const T* sb, const T* xa, float (&dxa)[kRanks / 8][4],
                                              float (&db)[kRanks / 8][4]) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int within = lane % 8 + lane / 8 % 2 * 8, half = lane / 16;  // row of 16, and which 8 columns
#pragma unroll
  for (int k = 0; k < kTile / 16; ++k) {
    uint32_t rows[4], columns[4];
    load_matrices(rows, dy + wide_place<kTile>(warp * 16 + within, k * 2 + half));
    // The transpose: the halves of the address change places.
    load_transposed(columns, dy + wide_place<kTile>(k * 16 + lane % 8 + half * 8, warp * 2 + lane / 8 % 2));
#pragma unroll
    for (int n = 0; n < kRanks / 16; ++n) {
      uint32_t b[4];
      load_transposed(b, sb + thin_place<kRanks>(k * 16 + within, n * 2 + half));
      multiply_add<T>(dxa[2 * n], rows, b[0], b[1]);
      multiply_add<T>(dxa[2 * n + 1], rows, b[2], b[3]);
      load_transposed(b, xa + thin_place<kRanks>(k * 16 + within, n * 2 + half));
      multiply_add<T>(db[2 * n], columns, b[0], b[1]);
      multiply_add<T>(db[2 * n + 1], columns, b[2], b[3]);
    }
  }
}

// Stores the 16 x kRanks sums of a warp: rows `to` + 0..15, those below `rows`.
template <int kRanks>
__device__ __forceinline__ void store_sums(float* to, int64_t rows, const float (&sums)[kRanks / 8][4]) {
  const int lane = threadIdx.x % 32, row = lane / 4, column = lane % 4 * 2;
#pragma unroll
  for (int n = 0; n < kRanks / 8; ++n)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (row + half * 8 < rows)
        *reinterpret_cast<float2*>(to + (row + half * 8) * kRanks + n * 8 + column) =
            make_float2(sums[n][half * 2], sums[n][half * 2 + 1]);
}

// Grid: regions of columns x regions of rows. Workspace: dxa's parts [column regions, T, kRanks], then dB's
// [row regions, b_rows, kRanks].
template <typename T, int kRanks, bool kDrops>
__global__ void __launch_bounds__(kThreads, 1) walk_dy(const __grid_constant__ AdapterGradients a, const Cut cut) {
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<Shared<T, kRanks>*>(memory);
  const int region = blockIdx.x, warp = threadIdx.x / 32;
  int j = 0;
  while (region >= cut.first[j + 1]) ++j;
  const int64_t first_tile = int64_t{region - cut.first[j]} * cut.tiles_each;
  const int tiles = static_cast<int>(min(int64_t{cut.tiles_each}, tiles_of(a.piece[j]) - first_tile));
  const Walk<T, kRanks> walk{a, shared, a.piece[j], blockIdx.y * kRegionRows<kRanks>, first_tile, j * a.step};
  constexpr int kInTile = kSteps<kRanks>;
  const int steps = tiles * kInTile;

  float dxa[kInTile][kRanks / 8][4] = {};
  walk.fetch_xa();
  for (int i = 0; i < kStages - 1; ++i) {
    if (i < steps) walk.fetch(i);
    asm volatile("cp.async.commit_group;");
  }
  float* const db_parts = a.workspace + cut.regions(a.pieces) * a.tokens * kRanks;
  for (int tile = 0; tile < tiles; ++tile) {
    float db[kRanks / 8][4] = {};
#pragma unroll
    for (int s = 0; s < kInTile; ++s) {
      const int i = tile * kInTile + s;
      asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2));
      if constexpr (kDrops) walk.drop_fetched(i);
      __syncthreads();
      if (i + kStages - 1 < steps) walk.fetch(i + kStages - 1);
      asm volatile("cp.async.commit_group;");
      multiply_step<T, kRanks>(shared.dy[i % kStages], shared.sb[tile % 2], shared.xa + s * kTile * kRanks, dxa[s], db);
    }
    const int64_t column = (first_tile + tile) * kTile + warp * 16;
    store_sums<kRanks>(db_parts + (blockIdx.y * a.b_rows + walk.piece.b_begin + column) * kRanks,
                       walk.piece.rows - column, db);
  }
#pragma unroll
  for (int s = 0; s < kInTile; ++s) {
    const int64_t row = walk.first_row + s * kTile + warp * 16;
    store_sums<kRanks>(a.workspace + (region * a.tokens + row) * kRanks, a.tokens - row, dxa[s]);
  }
}

// A thread makes four elements of dxa, or of dB.
template <typename T, typename G, int kRanks>
__global__ void __launch_bounds__(kThreads)
    join_parts(const __grid_constant__ AdapterGradients a, const Cut cut, int row_regions) {
  const int64_t dxa_work = a.tokens * a.extra / 4, db_work = a.b_rows * (kRanks / 4);
  const float* db_parts = a.workspace + cut.regions(a.pieces) * a.tokens * kRanks;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < dxa_work + db_work;
       i += int64_t{gridDim.x} * kThreads) {
    if (i < dxa_work) {
      const int64_t t = i / (a.extra / 4), column = i % (a.extra / 4) * 4, j = column / a.step, k = column % a.step;
      float4 sum = make_float4(0, 0, 0, 0);
      if (j < a.pieces)
        sum = sum_parts(a.workspace + (cut.first[j] * a.tokens + t) * kRanks + k, cut.first[j + 1] - cut.first[j],
                        a.tokens * kRanks);
      store_ranks(static_cast<T*>(a.dxa) + t * a.dxa_stride + column, sum, a.mask.kept);
      continue;
    }
    const int64_t row = (i - dxa_work) / (kRanks / 4), k = (i - dxa_work) % (kRanks / 4) * 4;
    if (k >= a.rank) continue;
    const float4 sum = sum_parts(db_parts + row * kRanks + k, row_regions, a.b_rows * kRanks);
    const float values[4] = {sum.x, sum.y, sum.z, sum.w};
    G* to = static_cast<G*>(a.db) + row * a.rank + k;
    for (int e = 0; e < 4 && k + e < a.rank; ++e) {
      const float before = a.beta == 0 ? 0 : a.beta * to_float(to[e]);
      to[e] = from_float<G>(before + a.scale * a.mask.kept * values[e]);
    }
  }
}

template <typename T, typename G, int kRanks>
Status launch(const AdapterGradients& a, Stream stream) {
  constexpr int kShared = sizeof(Shared<T, kRanks>);
  const auto walk = a.mask.threshold > 0 ? walk_dy<T, kRanks, true> : walk_dy<T, kRanks, false>;
  const auto allowed = cudaFuncSetAttribute(walk, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared);
  if (allowed != cudaSuccess) return static_cast<Status>(allowed);
  const int64_t row_regions = divide_up(a.tokens, kRegionRows<kRanks>);
  const Cut cut = best_cut(a, row_regions);
  const auto on = stream_of(stream);
  walk<<<dim3(cut.regions(a.pieces), static_cast<unsigned>(row_regions)), kThreads, kShared, on>>>(a, cut);
  const int64_t work = a.tokens * a.extra / 4 + a.b_rows * (kRanks / 4);
  join_parts<T, G, kRanks>
      <<<blocks_for(divide_up(work, kThreads)), kThreads, 0, on>>>(a, cut, static_cast<int>(row_regions));
  return launched();
}

int ranks_of(const AdapterGradients& a) { return a.step <= 16 ? 16 : 32; }

int64_t workspace(const AdapterGradients& a) {
  const bool aligned16bit = a.dtype != DType::Float && a.dy_stride % 8 == 0 && a.xa_stride % 8 == 0 &&
                            a.sb_stride % 8 == 0 && aligned16(a.dy, a.xa, a.sb);
  const size_t shared = ranks_of(a) == 16 ? sizeof(Shared<bf16, 16>) : sizeof(Shared<bf16, 32>);
  if (a.mask.threshold > 0 && a.mask_columns % 8 != 0) return 0;
  if (!aligned16bit || !has_shared_memory(shared) || a.step > 32 || a.pieces > AdapterGradients::kMostPieces ||
      a.tokens == 0)
    return 0;
  for (int j = 0; j < a.pieces; ++j)
    if (a.piece[j].begin % 8 != 0 || a.piece[j].rows % 8 != 0 || a.piece[j].rows == 0) return 0;
  const int64_t row_regions = divide_up(a.tokens, ranks_of(a) == 16 ? kRegionRows<16> : kRegionRows<32>);
  return (best_cut(a, row_regions).regions(a.pieces) * a.tokens + row_regions * a.b_rows) * ranks_of(a);
}

template <typename T>
Status launch_for(const AdapterGradients& a, Stream stream) {
  const bool own = a.grad_dtype != DType::Float;
  if (ranks_of(a) == 16) return own ? launch<T, T, 16>(a, stream) : launch<T, float, 16>(a, stream);
  return own ? launch<T, T, 32>(a, stream) : launch<T, float, 32>(a, stream);
}

Status gradients(const AdapterGradients& a, Stream stream) {
  if (workspace(a) == 0 || (a.grad_dtype != DType::Float && a.grad_dtype != a.dtype))
    return static_cast<Status>(cudaErrorInvalidValue);
  return a.dtype == DType::BFloat16 ? launch_for<bf16>(a, stream) : launch_for<__half>(a, stream);
}

}  // namespace

const Adapter kAdapter = {workspace, gradients, takes_dropped_adapters, add_dropped_adapters};

}  // namespace automodel::kernels::cuda
