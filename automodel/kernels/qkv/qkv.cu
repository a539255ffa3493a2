#include "automodel/kernels/cuda/device.cuh"
#include "automodel/kernels/qkv/qkv_cuda.h"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256;

// A head is cut into units. A unit of the rotated part is a pair of vectors, one of each half; elsewhere it is one
// vector. kLanes neighbouring threads share a head, kUnits units each, all in registers.
template <typename T>
struct Unit {
  Vector<T> a, b;
};

struct HeadOf {
  int64_t token;
  int64_t head;  // of q, then k, then v
};
__device__ __forceinline__ HeadOf head_of(int64_t index, int64_t heads) {
  if (index <= INT32_MAX) {  // a 64-bit division costs as much as the head itself
    const unsigned token = static_cast<unsigned>(index) / static_cast<unsigned>(heads);
    return {token, index - int64_t(token) * heads};
  }
  return {index / heads, index % heads};
}

template <int kLanes>
__device__ __forceinline__ float lanes_sum(float x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

template <int N>
__device__ __forceinline__ void load_angles(const float* from, float* to) {
#pragma unroll
  for (int i = 0; i < N; i += 4) *reinterpret_cast<float4*>(to + i) = *reinterpret_cast<const float4*>(from + i);
}

// Where a unit's vectors lie in its head; pairs: units that rotate.
template <int N>
struct Place {
  int a, b;
  bool rotates, inside;
  __device__ __forceinline__ Place(int unit, int pairs, int units, int half) {
    rotates = unit < pairs;
    inside = unit < units;
    a = rotates ? unit * N : 2 * half + (unit - pairs) * N;
    b = a + half;
  }
};

template <typename T, int kLanes, int kUnits>
__global__ void __launch_bounds__(kThreads) forward_in_registers(QkvForward args) {
  constexpr int N = kVector<T>, kGroups = kThreads / kLanes;
  const int D = static_cast<int>(args.head_dim), half = static_cast<int>(args.rotated / 2), lane = threadIdx.x % kLanes;
  const int pairs = half / N, units = pairs + (D - 2 * half) / N;
  const bool moves_v = args.v.data != static_cast<const T*>(args.qkv) + (args.q_heads + args.kv_heads) * D;
  const int64_t heads = args.q_heads + args.kv_heads * (moves_v ? 2 : 1), count = args.tokens * heads;
  // All lanes of a warp take every turn: they add up together.
  for (int64_t first = int64_t(blockIdx.x) * kGroups; first < count; first += int64_t(gridDim.x) * kGroups) {
    const int64_t index = first + threadIdx.x / kLanes;
    const bool there = index < count;
    const auto [token, head] = head_of(there ? index : 0, heads);
    const bool is_q = head < args.q_heads, is_v = head >= args.q_heads + args.kv_heads;
    const Heads to = is_q ? args.q : is_v ? args.v : args.k;
    const int64_t own = is_q ? head : head - args.q_heads - (is_v ? args.kv_heads : 0);
    const T* x = static_cast<const T*>(args.qkv) + token * args.qkv_stride + head * D;
    T* y = static_cast<T*>(to.data) + token * to.stride + own * D;
    const T* weight = static_cast<const T*>(is_v ? nullptr : is_q ? args.q_weight : args.k_weight);
    Unit<T> v[kUnits];
    float squares = 0;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const Place<N> at(lane + u * kLanes, pairs, units, half);
      v[u].a = there && at.inside ? Vector<T>::load(x + at.a) : Vector<T>::zero();
      v[u].b = there && at.inside && at.rotates ? Vector<T>::load(x + at.b) : Vector<T>::zero();
    }
#pragma unroll
    for (int u = 0; u < kUnits; ++u)
#pragma unroll
      for (int i = 0; i < N; ++i) squares += v[u].a[i] * v[u].a[i] + v[u].b[i] * v[u].b[i];
    const float rstd = rsqrtf(lanes_sum<kLanes>(squares) / static_cast<float>(D) + args.eps);
    if (!there) continue;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const Place<N> at(lane + u * kLanes, pairs, units, half);
      if (!at.inside) continue;
      float a[N], b[N];
#pragma unroll
      for (int i = 0; i < N; ++i) a[i] = v[u].a[i], b[i] = v[u].b[i];
      if (weight) {
        const auto wa = Vector<T>::load(weight + at.a);
        const auto wb = at.rotates ? Vector<T>::load(weight + at.b) : Vector<T>::zero();
#pragma unroll
        for (int i = 0; i < N; ++i) {
          a[i] *= rstd * (wa[i] + args.shift);
          b[i] *= rstd * (wb[i] + args.shift);
        }
      }
      if (at.rotates && !is_v) {
        float cosine[N], sine[N];
        load_angles<N>(args.cos + token * half + at.a, cosine);
        load_angles<N>(args.sin + token * half + at.a, sine);
#pragma unroll
        for (int i = 0; i < N; ++i) {
          const float first_half = a[i] * cosine[i] - b[i] * sine[i];
          b[i] = b[i] * cosine[i] + a[i] * sine[i];
          a[i] = first_half;
        }
      }
#pragma unroll
      for (int i = 0; i < N; ++i) v[u].a.set(i, a[i]), v[u].b.set(i, b[i]);
      v[u].a.store(y + at.a);
      if (at.rotates) v[u].b.store(y + at.b);
    }
  }
}

template <typename T, int kLanes, int kUnits, bool kGrads>
__global__ void __launch_bounds__(kThreads) backward_in_registers(QkvBackward args) {
  constexpr int N = kVector<T>, kGroups = kThreads / kLanes, kKept = kGrads ? kUnits * N : 1;
  const int D = static_cast<int>(args.head_dim), half = static_cast<int>(args.rotated / 2), lane = threadIdx.x % kLanes;
  const int pairs = half / N, units = pairs + (D - 2 * half) / N;
  const bool moves_v = args.dv.data != static_cast<const T*>(args.d_qkv) + (args.q_heads + args.kv_heads) * D;
  const int64_t heads = args.q_heads + args.kv_heads * (moves_v ? 2 : 1), count = args.tokens * heads;
  float dw[2][2][kKept] = {};  // of q and k, of a and b
  for (int64_t first = int64_t(blockIdx.x) * kGroups; first < count; first += int64_t(gridDim.x) * kGroups) {
    const int64_t index = first + threadIdx.x / kLanes;
    const bool there = index < count;
    const auto [token, head] = head_of(there ? index : 0, heads);
    const bool is_q = head < args.q_heads, is_v = head >= args.q_heads + args.kv_heads;
    const Heads from = is_q ? args.dq : is_v ? args.dv : args.dk;
    const int64_t own = is_q ? head : head - args.q_heads - (is_v ? args.kv_heads : 0);
    const T* dy = static_cast<const T*>(from.data) + token * from.stride + own * D;
    T* dx = static_cast<T*>(args.d_qkv) + token * args.d_stride + head * D;
    const T* weight = static_cast<const T*>(is_v ? nullptr : is_q ? args.q_weight : args.k_weight);
    const T* x = weight ? static_cast<const T*>(args.qkv) + token * args.qkv_stride + head * D : nullptr;
    Unit<T> g[kUnits], v[kUnits];
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const Place<N> at(lane + u * kLanes, pairs, units, half);
      g[u].a = there && at.inside ? Vector<T>::load(dy + at.a) : Vector<T>::zero();
      g[u].b = there && at.inside && at.rotates ? Vector<T>::load(dy + at.b) : Vector<T>::zero();
      v[u].a = there && at.inside && x ? Vector<T>::load(x + at.a) : Vector<T>::zero();
      v[u].b = there && at.inside && at.rotates && x ? Vector<T>::load(x + at.b) : Vector<T>::zero();
    }
    float ga[kUnits][N], gb[kUnits][N], squares = 0, dot = 0;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const Place<N> at(lane + u * kLanes, pairs, units, half);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        ga[u][i] = g[u].a[i], gb[u][i] = g[u].b[i];
        squares += v[u].a[i] * v[u].a[i] + v[u].b[i] * v[u].b[i];
      }
      if (there && at.rotates && !is_v) {  // rotated back
        float cosine[N], sine[N];
        load_angles<N>(args.cos + token * half + at.a, cosine);
        load_angles<N>(args.sin + token * half + at.a, sine);
#pragma unroll
        for (int i = 0; i < N; ++i) {
          const float first_half = ga[u][i] * cosine[i] + gb[u][i] * sine[i];
          gb[u][i] = gb[u][i] * cosine[i] - ga[u][i] * sine[i];
          ga[u][i] = first_half;
        }
      }
    }
    const float rstd = rsqrtf(lanes_sum<kLanes>(squares) / static_cast<float>(D) + args.eps);
    if (weight) {
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        const Place<N> at(lane + u * kLanes, pairs, units, half);
        if (!at.inside) continue;
        const auto wa = Vector<T>::load(weight + at.a);
        const auto wb = at.rotates ? Vector<T>::load(weight + at.b) : Vector<T>::zero();
#pragma unroll
        for (int i = 0; i < N; ++i) {
          if constexpr (kGrads) {
            const float a = ga[u][i] * v[u].a[i] * rstd, b = gb[u][i] * v[u].b[i] * rstd;
            if (is_q) {
              dw[0][0][u * N + i] += a;
              dw[0][1][u * N + i] += b;
            } else {
              dw[1][0][u * N + i] += a;
              dw[1][1][u * N + i] += b;
            }
          }
          ga[u][i] *= wa[i] + args.shift;
          gb[u][i] *= wb[i] + args.shift;
          dot += ga[u][i] * v[u].a[i] + gb[u][i] * v[u].b[i];
        }
      }
    }
    dot = lanes_sum<kLanes>(dot) * rstd * rstd / static_cast<float>(D);
    if (!there) continue;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const Place<N> at(lane + u * kLanes, pairs, units, half);
      if (!at.inside) continue;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        g[u].a.set(i, weight ? rstd * (ga[u][i] - v[u].a[i] * dot) : ga[u][i]);
        g[u].b.set(i, weight ? rstd * (gb[u][i] - v[u].b[i] * dot) : gb[u][i]);
      }
      g[u].a.store(dx + at.a);
      if (at.rotates) g[u].b.store(dx + at.b);
    }
  }
  if constexpr (kGrads) {
    extern __shared__ float sums[];  // [head_dim]; groups add theirs one after the other
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      float* partial = part == 0 ? args.partial_q : args.partial_k;
      if (!partial) continue;
      for (int turn = 0; turn < kGroups; ++turn) {
        __syncthreads();
        if (threadIdx.x / kLanes != turn) continue;
#pragma unroll
        for (int u = 0; u < kUnits; ++u) {
          const Place<N> at(lane + u * kLanes, pairs, units, half);
          if (!at.inside) continue;
#pragma unroll
          for (int i = 0; i < N; ++i) {
            sums[at.a + i] = dw[part][0][u * N + i] + (turn > 0 ? sums[at.a + i] : 0.0f);
            if (at.rotates) sums[at.b + i] = dw[part][1][u * N + i] + (turn > 0 ? sums[at.b + i] : 0.0f);
          }
        }
      }
      __syncthreads();
      for (int c = threadIdx.x; c < D; c += kThreads) partial[int64_t(blockIdx.x) * D + c] = sums[c];
    }
  }
}

// Any head size and alignment: a warp walks a head, each lane its own elements. One warp a block, so that a block's
// partial sums have one owner an element.
template <typename T>
__global__ void __launch_bounds__(32) forward_by_walking(QkvForward args) {
  const int64_t D = args.head_dim, half = args.rotated / 2;
  const bool moves_v = args.v.data != static_cast<const T*>(args.qkv) + (args.q_heads + args.kv_heads) * D;
  const int64_t heads = args.q_heads + args.kv_heads * (moves_v ? 2 : 1);
  for (int64_t index = blockIdx.x; index < args.tokens * heads; index += gridDim.x) {
    const auto [token, head] = head_of(index, heads);
    const bool is_q = head < args.q_heads, is_v = head >= args.q_heads + args.kv_heads;
    const Heads to = is_q ? args.q : is_v ? args.v : args.k;
    const int64_t own = is_q ? head : head - args.q_heads - (is_v ? args.kv_heads : 0);
    const T* x = static_cast<const T*>(args.qkv) + token * args.qkv_stride + head * D;
    T* y = static_cast<T*>(to.data) + token * to.stride + own * D;
    const T* weight = static_cast<const T*>(is_v ? nullptr : is_q ? args.q_weight : args.k_weight);
    float rstd = 1;
    if (weight) {
      float squares = 0;
      for (int64_t c = threadIdx.x; c < D; c += 32) squares += to_float(x[c]) * to_float(x[c]);
      rstd = rsqrtf(warp_sum(squares) / static_cast<float>(D) + args.eps);
    }
    const auto normed = [&](int64_t c) {
      return weight ? to_float(x[c]) * rstd * (to_float(weight[c]) + args.shift) : to_float(x[c]);
    };
    __syncwarp();  // y may be x
    const int64_t pairs = is_v ? 0 : half;
    for (int64_t c = threadIdx.x; c < pairs; c += 32) {
      const float a = normed(c), b = normed(half + c), cosine = args.cos[token * half + c],
                  sine = args.sin[token * half + c];
      y[c] = from_float<T>(a * cosine - b * sine);
      y[half + c] = from_float<T>(b * cosine + a * sine);
    }
    for (int64_t c = 2 * pairs + threadIdx.x; c < D; c += 32) y[c] = from_float<T>(normed(c));
  }
}

template <typename T>
__global__ void __launch_bounds__(32) backward_by_walking(QkvBackward args) {
  const int64_t D = args.head_dim, half = args.rotated / 2;
  const bool moves_v = args.dv.data != static_cast<const T*>(args.d_qkv) + (args.q_heads + args.kv_heads) * D;
  const int64_t heads = args.q_heads + args.kv_heads * (moves_v ? 2 : 1);
  float* partial_q = args.partial_q ? args.partial_q + int64_t(blockIdx.x) * D : nullptr;
  float* partial_k = args.partial_k ? args.partial_k + int64_t(blockIdx.x) * D : nullptr;
  for (int64_t c = threadIdx.x; c < D; c += 32) {
    if (partial_q) partial_q[c] = 0;
    if (partial_k) partial_k[c] = 0;
  }
  __syncwarp();
  for (int64_t index = blockIdx.x; index < args.tokens * heads; index += gridDim.x) {
    const auto [token, head] = head_of(index, heads);
    const bool is_q = head < args.q_heads, is_v = head >= args.q_heads + args.kv_heads;
    const Heads from = is_q ? args.dq : is_v ? args.dv : args.dk;
    const int64_t own = is_q ? head : head - args.q_heads - (is_v ? args.kv_heads : 0);
    const T* dy = static_cast<const T*>(from.data) + token * from.stride + own * D;
    T* dx = static_cast<T*>(args.d_qkv) + token * args.d_stride + head * D;
    const T* weight = static_cast<const T*>(is_v ? nullptr : is_q ? args.q_weight : args.k_weight);
    const T* x = weight ? static_cast<const T*>(args.qkv) + token * args.qkv_stride + head * D : nullptr;
    float* partial = is_v ? nullptr : is_q ? partial_q : partial_k;
    const int64_t pairs = is_v ? 0 : half;
    // One thread takes both elements of a pair in every pass, so dx may be dy.
    const auto for_each = [&](auto&& run) {  // run(c, gradient after rotating back)
      for (int64_t c = threadIdx.x; c < pairs; c += 32) {
        const float a = to_float(dy[c]), b = to_float(dy[half + c]);
        const float cosine = args.cos[token * half + c], sine = args.sin[token * half + c];
        run(c, a * cosine + b * sine);
        run(half + c, b * cosine - a * sine);
      }
      for (int64_t c = 2 * pairs + threadIdx.x; c < D; c += 32) run(c, to_float(dy[c]));
    };
    if (!weight) {
      for_each([&](int64_t c, float g) { dx[c] = from_float<T>(g); });
      continue;
    }
    float squares = 0, dot = 0;
    for_each([&](int64_t c, float g) { squares += to_float(x[c]) * to_float(x[c]); });
    const float rstd = rsqrtf(warp_sum(squares) / static_cast<float>(D) + args.eps);
    for_each([&](int64_t c, float g) {
      dot += g * (to_float(weight[c]) + args.shift) * to_float(x[c]);
      if (partial) partial[c] += g * to_float(x[c]) * rstd;
    });
    dot = warp_sum(dot) * rstd * rstd / static_cast<float>(D);
    for_each([&](int64_t c, float g) {
      dx[c] = from_float<T>(rstd * (g * (to_float(weight[c]) + args.shift) - to_float(x[c]) * dot));
    });
  }
}

// Calls f(lanes, units) as constants where a head fits into the registers of a warp's part.
template <typename F>
bool with_layout(int64_t units, const F& f) {
  using std::integral_constant;
  if (units <= 4) return f(integral_constant<int, 4>{}, integral_constant<int, 1>{}), true;
  if (units <= 8) return f(integral_constant<int, 8>{}, integral_constant<int, 1>{}), true;
  if (units <= 16) return f(integral_constant<int, 16>{}, integral_constant<int, 1>{}), true;
  if (units <= 32) return f(integral_constant<int, 32>{}, integral_constant<int, 1>{}), true;
  if (units <= 64) return f(integral_constant<int, 32>{}, integral_constant<int, 2>{}), true;
  return false;
}

template <typename T>
int64_t units_of(int64_t head_dim, int64_t rotated) {
  return (rotated / 2 + head_dim - rotated) / kVector<T>;
}

template <typename T>
bool whole_vectors(std::initializer_list<int64_t> sizes) {
  for (const int64_t size : sizes)
    if (size % kVector<T> != 0) return false;
  return true;
}

Status forward(const QkvForward& a, Stream stream) {
  if (a.tokens == 0 || a.head_dim == 0) return 0;
  const int64_t count = a.tokens * (a.q_heads + 2 * a.kv_heads);
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    const bool vectors =
        aligned16(a.qkv, a.q.data, a.k.data, a.v.data, a.cos, a.sin, a.q_weight, a.k_weight) &&
        whole_vectors<T>({a.head_dim, a.rotated / 2, a.qkv_stride, a.q.stride, a.k.stride, a.v.stride});
    const bool done =
        vectors && with_layout(units_of<T>(a.head_dim, a.rotated), [&](auto lanes, auto units) {
          forward_in_registers<T, decltype(lanes)::value, decltype(units)::value>
              <<<blocks_for(divide_up(count, kThreads / decltype(lanes)::value)), kThreads, 0, stream_of(stream)>>>(a);
        });
    if (!done) forward_by_walking<T><<<blocks_for(count), 32, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

Status backward(const QkvBackward& a, Stream stream) {
  const bool grads = a.partial_q || a.partial_k;
  if (a.head_dim == 0 || (a.tokens == 0 && !grads)) return 0;
  const int64_t count = a.tokens * (a.q_heads + 2 * a.kv_heads);
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    const bool vectors =
        aligned16(a.qkv, a.dq.data, a.dk.data, a.dv.data, a.d_qkv, a.cos, a.sin, a.q_weight, a.k_weight) &&
        whole_vectors<T>({a.head_dim, a.rotated / 2, a.qkv_stride, a.dq.stride, a.dk.stride, a.dv.stride, a.d_stride});
    const bool done = vectors && with_layout(units_of<T>(a.head_dim, a.rotated), [&](auto lanes, auto units) {
                        constexpr int kLanes = decltype(lanes)::value, kUnits = decltype(units)::value;
                        if (grads)
                          backward_in_registers<T, kLanes, kUnits, true>
                              <<<blocks_for(a.partials), kThreads, a.head_dim * sizeof(float), stream_of(stream)>>>(a);
                        else
                          backward_in_registers<T, kLanes, kUnits, false>
                              <<<blocks_for(divide_up(count, kThreads / kLanes)), kThreads, 0, stream_of(stream)>>>(a);
                      });
    if (!done) backward_by_walking<T><<<blocks_for(grads ? a.partials : count), 32, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

}  // namespace

const SplitQkv kSplitQkv = {forward, backward};

}  // namespace automodel::kernels::cuda
