#include "automodel/kernels/activation/activation.cuh"
#include "automodel/kernels/activation/activation_cuda.h"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256;
// N elements at a time: a vector where everything is aligned, else one.
template <typename T, int N>
struct Piece {
  T at[N];
  static __device__ __forceinline__ Piece load(const T* from) {
    Piece p;
    if constexpr (N == 1) {
      p.at[0] = *from;
    } else {
      const auto v = Vector<T>::stream(from);
#pragma unroll
      for (int i = 0; i < N; ++i) p.at[i] = v.at[i];
    }
    return p;
  }
  __device__ __forceinline__ void store(T* to) const {
    if constexpr (N == 1) {
      *to = at[0];
    } else {
      Vector<T> v;
#pragma unroll
      for (int i = 0; i < N; ++i) v.at[i] = at[i];
      v.store(to);
    }
  }
};

// A block takes kThreads pieces of one row; blocks walk (row, part of the row).
template <typename T, int f, int N>
__global__ void __launch_bounds__(kThreads) gated_forward(GatedForward a, int64_t parts) {
  for (int64_t work = blockIdx.x; work < a.rows * parts; work += gridDim.x) {
    const int64_t row = work / parts, c = ((work - row * parts) * kThreads + threadIdx.x) * N;
    if (c >= a.columns) continue;
    const T* gate = static_cast<const T*>(a.gate_up) + row * a.gate_up_stride + c;
    auto g = Piece<T, N>::load(gate);
    const auto u = Piece<T, N>::load(gate + a.columns);
#pragma unroll
    for (int i = 0; i < N; ++i) g.at[i] = from_float<T>(evaluate<T, f>(to_float(g.at[i])).value * to_float(u.at[i]));
    g.store(static_cast<T*>(a.y) + row * a.y_stride + c);
  }
}

template <typename T, int f, int N>
__global__ void __launch_bounds__(kThreads) gated_backward(GatedBackward a, int64_t parts) {
  for (int64_t work = blockIdx.x; work < a.rows * parts; work += gridDim.x) {
    const int64_t row = work / parts, c = ((work - row * parts) * kThreads + threadIdx.x) * N;
    if (c >= a.columns) continue;
    const T* gate = static_cast<const T*>(a.gate_up) + row * a.gate_up_stride + c;
    auto g = Piece<T, N>::load(gate), u = Piece<T, N>::load(gate + a.columns);
    auto d = Piece<T, N>::load(static_cast<const T*>(a.dy) + row * a.dy_stride + c);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const Point p = evaluate<T, f>(to_float(g.at[i]));
      const float up = to_float(u.at[i]), dy = to_float(d.at[i]);
      g.at[i] = from_float<T>(dy * up * p.slope);
      u.at[i] = from_float<T>(dy * p.value);
      d.at[i] = from_float<T>(p.value * up);
    }
    T* out = static_cast<T*>(a.d_gate_up) + row * a.d_stride + c;
    g.store(out);
    u.store(out + a.columns);
    if (a.y) d.store(static_cast<T*>(a.y) + row * a.y_stride + c);
  }
}

bool whole_vectors(int64_t vector, std::initializer_list<int64_t> sizes) {
  for (const int64_t size : sizes)
    if (size % vector != 0) return false;
  return true;
}

Status forward(const GatedForward& a, Stream stream) {
  if (a.rows == 0 || a.columns == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int N = kVector<T>;
    const bool vectors = aligned16(a.gate_up, a.y) && whole_vectors(N, {a.columns, a.gate_up_stride, a.y_stride});
    const int64_t parts = divide_up(a.columns, (vectors ? N : 1) * int64_t{kThreads});
    with_function(a.f, [&](auto f) {
      if (vectors)
        gated_forward<T, decltype(f)::value, N>
            <<<blocks_for(a.rows * parts), kThreads, 0, stream_of(stream)>>>(a, parts);
      else
        gated_forward<T, decltype(f)::value, 1>
            <<<blocks_for(a.rows * parts), kThreads, 0, stream_of(stream)>>>(a, parts);
    });
  });
  return launched();
}

Status backward(const GatedBackward& a, Stream stream) {
  if (a.rows == 0 || a.columns == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int N = kVector<T>;
    const bool vectors = aligned16(a.gate_up, a.dy, a.d_gate_up, a.y) &&
                         whole_vectors(N, {a.columns, a.gate_up_stride, a.dy_stride, a.d_stride, a.y ? a.y_stride : 0});
    const int64_t parts = divide_up(a.columns, (vectors ? N : 1) * int64_t{kThreads});
    with_function(a.f, [&](auto f) {
      if (vectors)
        gated_backward<T, decltype(f)::value, N>
            <<<blocks_for(a.rows * parts), kThreads, 0, stream_of(stream)>>>(a, parts);
      else
        gated_backward<T, decltype(f)::value, 1>
            <<<blocks_for(a.rows * parts), kThreads, 0, stream_of(stream)>>>(a, parts);
    });
  });
  return launched();
}

}  // namespace

const Gated kGated = {forward, backward};

}  // namespace automodel::kernels::cuda
