// What adapters with dropout behind them add to y: m * (xa sB^T). A mask of y's own elements cannot be part of the
// base's product, so y is read and written once more; the thin product itself is made by tensor cores in passing.
#include "automodel/kernels/adapter/adapter_cuda.h"
#include "automodel/kernels/adapter/thin_product.cuh"
#include "automodel/kernels/dropout/drop.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256, kRows = 64, kColumns = 64;  // of a block

// Blocks of columns, those of the pieces one after the other.
struct Blocks {
  int first[DroppedAdapters::kMostPieces + 1];  // of each piece
};
Blocks blocks_of(const DroppedAdapters& a) {
  Blocks blocks{};
  for (int j = 0; j < a.pieces; ++j)
    blocks.first[j + 1] = blocks.first[j] + static_cast<int>(divide_up(a.piece[j].rows, kColumns));
  return blocks;
}

// Grid: blocks of columns x rows, so that blocks side by side run together and rows are read whole. A warp has 16 rows
// and 32 columns of y, the next one the other half of their 128 bytes. Of m16n8k16's operands lane 4 r + q has rows r
// and r + 8, and terms {2 q, 2 q + 1} and {8 + 2 q, 8 + 2 q + 1}: elements 4 q to 4 q + 3 serve as these, since terms
// may come in any order if both operands agree. Of its results it has columns 2 q and 2 q + 1 of eight. Product n of
// four has as its column 2 q + e the warp's column 8 q + 2 n + e: a lane then has eight neighbours.
template <typename T>
__global__ void __launch_bounds__(kThreads, 3)
    add_dropped(const __grid_constant__ DroppedAdapters a, const Blocks blocks) {
  int j = 0;
  while (static_cast<int>(blockIdx.x) >= blocks.first[j + 1]) ++j;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, r = lane / 4, q = lane % 4;
  const int64_t row = int64_t{blockIdx.y} * kRows + warp / 2 * 16 + r;
  const int64_t within = int64_t{static_cast<int>(blockIdx.x) - blocks.first[j]} * kColumns + warp % 2 * 32;
  const int64_t column = a.piece[j].begin + within,
                left = a.piece[j].rows - within;  // columns of the piece from here on
  T* const y = static_cast<T*>(a.y) + row * a.y_stride + column + q * 8;
  const bool there[2] = {q * 8 < left && row < a.tokens, q * 8 < left && row + 8 < a.tokens};

  Vector<T> values[2];  // of rows r and r + 8
#pragma unroll
  for (int half = 0; half < 2; ++half)
    values[half] = there[half] ? Vector<T>::stream(y + half * 8 * a.y_stride) : Vector<T>::zero();
  Staying stays[2];  // drawn while y comes
#pragma unroll
  for (int half = 0; half < 2; ++half)
    stays[half] = staying(a.mask, (row + half * 8) * a.mask_columns + column + q * 8);
  const T* const xa = static_cast<const T*>(a.xa) + row * a.xa_stride + q * 4;
  const int first = r / 2 * 8 + r % 2;  // this lane's column of product 0's second operand
  const T* const sb = static_cast<const T*>(a.sb) + (column + first) * a.sb_stride + q * 4;
  const auto four = [](const T* from, bool in) {
    return in ? *reinterpret_cast<const uint2*>(from) : make_uint2(0, 0);
  };
  float sums[4][4] = {};
  const int64_t last = divide_up((j + 1) * a.step, 16) * 16;
  for (int64_t k = j * a.step / 16 * 16; k < last; k += 16) {
    const uint2 upper = four(xa + k, row < a.tokens), lower = four(xa + 8 * a.xa_stride + k, row + 8 < a.tokens);
    const uint32_t rows[4] = {upper.x, lower.x, upper.y, lower.y};
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const uint2 b = four(sb + n * 2 * a.sb_stride + k, first + n * 2 < left);
      multiply_add<T>(sums[n], rows, b.x, b.y);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (!there[half]) continue;
#pragma unroll
    for (int i = 0; i < 8; ++i)
      values[half].set(i, values[half][i] + stays[half].or_zero(a.mask.kept * sums[i / 2][half * 2 + i % 2], i));
    values[half].stream_to(y + half * 8 * a.y_stride);
  }
}

}  // namespace

bool takes_dropped_adapters(const DroppedAdapters& a) {
  if (a.dtype == DType::Float || a.pieces > DroppedAdapters::kMostPieces || a.mask.threshold == 0 ||
      !aligned16(a.y, a.xa, a.sb) || (a.y_stride | a.xa_stride | a.sb_stride) % 8 != 0 || a.mask_columns % 8 != 0 ||
      a.extra % 16 != 0)
    return false;
  return std::all_of(a.piece, a.piece + a.pieces,
                     [](const AdapterColumns& piece) { return piece.begin % 8 == 0 && piece.rows % 8 == 0; });
}

Status add_dropped_adapters(const DroppedAdapters& a, Stream stream) {
  if (!takes_dropped_adapters(a)) return static_cast<Status>(cudaErrorInvalidValue);
  const Blocks blocks = blocks_of(a);
  if (a.tokens == 0 || blocks.first[a.pieces] == 0) return 0;
  const dim3 grid(static_cast<unsigned>(blocks.first[a.pieces]), static_cast<unsigned>(divide_up(a.tokens, kRows)));
  const auto kernel = a.dtype == DType::BFloat16 ? add_dropped<bf16> : add_dropped<__half>;
  kernel<<<grid, kThreads, 0, stream_of(stream)>>>(a, blocks);
  return launched();
}

}  // namespace automodel::kernels::cuda
