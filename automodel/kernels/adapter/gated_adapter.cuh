// What the two passes of a gated activation between adapters share: the sums of their parts, and what they take.
#pragma once

#include "automodel/kernels/activation/activation.cuh"
#include "automodel/kernels/adapter/gated_adapter_cuda.h"
#include "automodel/kernels/adapter/thin_product.cuh"

namespace automodel::kernels::cuda::gated {

constexpr int kRows = 128, kRanks = 16;  // of a block at a time; of an adapter

// to[row, column] = kept times the sum of `count` parts [rows, pieces kRanks], four columns a thread: piece j's ranks
// begin at column j step of `to`; other columns are zeros.
struct Ranks {
  const float* parts;
  void* to;
  int64_t rows, extra, step, stride;
  int count, pieces;
  float kept = 1;  // what the sums are multiplied by
};

template <typename T>
__device__ __forceinline__ void join_ranks(const Ranks& r, int64_t i) {
  const int64_t row = i / (r.extra / 4), column = i % (r.extra / 4) * 4, j = column / r.step, k = column % r.step;
  float4 sum = make_float4(0, 0, 0, 0);
  const int64_t width = r.pieces * kRanks;
  if (j < r.pieces) sum = sum_parts(r.parts + row * width + j * kRanks + k, r.count, r.rows * width);
  store_ranks(static_cast<T*>(r.to) + row * r.stride + column, sum, r.kept);
}

// ---- on the host ----

inline bool has_function(int32_t f) { return f == kSilu || f == kGeluTanh; }
template <typename F>
Status with_function_and_type(int32_t f, DType dtype, const F& run) {
  using Silu = std::integral_constant<int, kSilu>;
  using Gelu = std::integral_constant<int, kGeluTanh>;
  if (dtype == DType::BFloat16) return f == kSilu ? run(bf16{}, Silu{}) : run(bf16{}, Gelu{});
  return f == kSilu ? run(__half{}, Silu{}) : run(__half{}, Gelu{});
}

inline bool whole_vectors(std::initializer_list<int64_t> sizes) {
  return std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size % 8 == 0; });
}

int64_t forward_workspace(const GatedAdapterForward& a);
Status forward(const GatedAdapterForward& a, Stream stream);
int64_t backward_workspace(const GatedAdapterBackward& a);
Status backward(const GatedAdapterBackward& a, Stream stream);

}  // namespace automodel::kernels::cuda::gated
