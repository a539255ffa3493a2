#include "automodel/kernels/cuda/device.cuh"
#include "automodel/kernels/qkv/qkv_walk.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 64;

// A head is cut into units. A unit of the rotated part is a pair of vectors, one of each half; elsewhere it is one
// vector. kLanes neighbouring threads share a head, kUnits units each, all in registers. A block takes a token's heads
// of q, k or v (blockIdx.y), kThreads / kLanes at a time, so angles and weights are loaded once for all of them.
template <typename T>
struct Unit {
  Vector<T> a, b;
};

struct Part {
  const void* in;
  void* out;
  const void* weight;  // of the norm; null: none
  const void* x;       // backward: what the norm's forward read
  float* partial;      // backward: sums of the weight's gradient
  int64_t in_stride, out_stride, x_stride;
  int heads;
  int turned;  // the first heads are normed and turned, the others (v behind k) copied
  bool rotates;
};

struct Turn {
  int64_t tokens;
  int head_dim, half;
  Part parts[3];
  const float *cos, *sin;
  float sign;  // -1 turns back
  float eps, shift;
};

template <int kLanes>
__device__ __forceinline__ float lanes_sum(float x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

// Where a unit's vectors lie in its head; the first `pairs` units rotate.
template <int N>
struct Place {
  int a, b;
  bool paired, inside;
  __device__ __forceinline__ Place(int unit, int head_dim, int half) {
    const int pairs = half / N;
    paired = unit < pairs;
    inside = unit < pairs + (head_dim - 2 * half) / N;
    a = paired ? unit * N : 2 * half + (unit - pairs) * N;
    b = a + half;
  }
};

template <typename T, int kLanes, int kUnits>
struct Lane {
  static constexpr int N = kVector<T>;
  float cosine[kUnits][N], sine[kUnits][N];
  Unit<T> weight[kUnits];
  int lane;

  __device__ __forceinline__ Place<N> at(const Turn& t, int u) const { return {lane + u * kLanes, t.head_dim, t.half}; }

  __device__ __forceinline__ void load(const Turn& t, const T* from, bool there, Unit<T>* to) const {
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const auto place = at(t, u);
      to[u].a = there && place.inside ? Vector<T>::load(from + place.a) : Vector<T>::zero();
      to[u].b = there && place.inside && place.paired ? Vector<T>::load(from + place.b) : Vector<T>::zero();
    }
  }
  __device__ __forceinline__ void load_angles(const Turn& t, int64_t token) {
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const auto place = at(t, u);
      if (!place.paired) continue;
#pragma unroll
      for (int i = 0; i < N; i += 4) {
        *reinterpret_cast<float4*>(cosine[u] + i) =
            *reinterpret_cast<const float4*>(t.cos + token * t.half + place.a + i);
        *reinterpret_cast<float4*>(sine[u] + i) =
            *reinterpret_cast<const float4*>(t.sin + token * t.half + place.a + i);
      }
    }
  }
  __device__ __forceinline__ void rotate(int u, float sign, float* a, float* b) const {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float s = sine[u][i] * sign, first = a[i] * cosine[u][i] - b[i] * s;
      b[i] = b[i] * cosine[u][i] + a[i] * s;
      a[i] = first;
    }
  }
};

template <typename T, int kLanes, int kUnits, bool kNorm>
__global__ void __launch_bounds__(kThreads) turn_heads(const __grid_constant__ Turn t) {
  constexpr int N = kVector<T>, kGroups = kThreads / kLanes;
  const Part& part = t.parts[blockIdx.y];
  const int group = threadIdx.x / kLanes;
  const bool norms = kNorm && part.weight;
  Lane<T, kLanes, kUnits> lane;
  lane.lane = threadIdx.x % kLanes;
  if (norms) lane.load(t, static_cast<const T*>(part.weight), true, lane.weight);
  for (int64_t token = blockIdx.x; token < t.tokens; token += gridDim.x) {
    const T* in = static_cast<const T*>(part.in) + token * part.in_stride;
    T* out = static_cast<T*>(part.out) + token * part.out_stride;
    Unit<T> next[kUnits];
    lane.load(t, in + group * t.head_dim, group < part.heads, next);
    if (part.rotates) lane.load_angles(t, token);
    for (int first = 0; first < part.heads; first += kGroups) {  // all lanes of a warp: they add up together
      const int head = first + group;
      Unit<T> now[kUnits];
#pragma unroll
      for (int u = 0; u < kUnits; ++u) now[u] = next[u];
      if (first + kGroups < part.heads)
        lane.load(t, in + (head + kGroups) * t.head_dim, head + kGroups < part.heads, next);
      float rstd = 1;
      if (norms) {
        float squares = 0;
#pragma unroll
        for (int u = 0; u < kUnits; ++u)
#pragma unroll
          for (int i = 0; i < N; ++i) squares += now[u].a[i] * now[u].a[i] + now[u].b[i] * now[u].b[i];
        rstd = rsqrtf(lanes_sum<kLanes>(squares) / static_cast<float>(t.head_dim) + t.eps);
      }
      if (head >= part.heads) continue;
      const bool turned = head < part.turned;
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        const auto place = lane.at(t, u);
        if (!place.inside) continue;
        float a[N], b[N];
#pragma unroll
        for (int i = 0; i < N; ++i) {
          a[i] = now[u].a[i], b[i] = now[u].b[i];
          if (norms && turned) {
            a[i] *= rstd * (lane.weight[u].a[i] + t.shift);
            b[i] *= rstd * (lane.weight[u].b[i] + t.shift);
          }
        }
        if (part.rotates && place.paired && turned) lane.rotate(u, t.sign, a, b);
#pragma unroll
        for (int i = 0; i < N; ++i) now[u].a.set(i, a[i]), now[u].b.set(i, b[i]);
        now[u].a.store(out + head * t.head_dim + place.a);
        if (place.paired) now[u].b.store(out + head * t.head_dim + place.b);
      }
    }
  }
}

// A block's part of a weight's gradient: groups add theirs one after the other.
template <typename T, int kLanes, int kUnits, int kKept>
__device__ __forceinline__ void write_partial(const Turn& t, const Part& part, const Lane<T, kLanes, kUnits>& lane,
                                              int group, const float (&dw_a)[kKept], const float (&dw_b)[kKept]) {
  constexpr int N = kVector<T>, kGroups = kThreads / kLanes;
  extern __shared__ float sums[];  // [head_dim]
  if (!part.partial) return;
  for (int turn = 0; turn < kGroups; ++turn) {
    __syncthreads();
    if (group != turn) continue;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const auto place = lane.at(t, u);
      if (!place.inside) continue;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        sums[place.a + i] = dw_a[u * N + i] + (turn > 0 ? sums[place.a + i] : 0.0f);
        if (place.paired) sums[place.b + i] = dw_b[u * N + i] + (turn > 0 ? sums[place.b + i] : 0.0f);
      }
    }
  }
  __syncthreads();
  for (int c = threadIdx.x; c < t.head_dim; c += kThreads) part.partial[int64_t(blockIdx.x) * t.head_dim + c] = sums[c];
}

// With norms: in is dy, turned back first. kGrads: the weights' gradients are wanted.
template <typename T, int kLanes, int kUnits, bool kGrads>
__global__ void __launch_bounds__(kThreads) norm_backward(const __grid_constant__ Turn t) {
  constexpr int N = kVector<T>, kGroups = kThreads / kLanes, kKept = kGrads ? kUnits * N : 1;
  const Part& part = t.parts[blockIdx.y];
  const int group = threadIdx.x / kLanes;
  Lane<T, kLanes, kUnits> lane;
  lane.lane = threadIdx.x % kLanes;
  if (part.weight) lane.load(t, static_cast<const T*>(part.weight), true, lane.weight);
  float dw_a[kKept] = {}, dw_b[kKept] = {};
  for (int64_t token = blockIdx.x; token < t.tokens; token += gridDim.x) {
    const T* dy = static_cast<const T*>(part.in) + token * part.in_stride;
    const T* x = static_cast<const T*>(part.x) + token * part.x_stride;
    T* dx = static_cast<T*>(part.out) + token * part.out_stride;
    if (part.rotates) lane.load_angles(t, token);
    for (int first = 0; first < part.heads; first += kGroups) {
      const int head = first + group;
      const bool there = head < part.heads;
      Unit<T> g[kUnits], v[kUnits];
      lane.load(t, dy + head * t.head_dim, there, g);
      lane.load(t, x + head * t.head_dim, there && part.weight, v);
      float ga[kUnits][N], gb[kUnits][N], squares = 0, dot = 0;
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        const auto place = lane.at(t, u);
#pragma unroll
        for (int i = 0; i < N; ++i) {
          ga[u][i] = g[u].a[i], gb[u][i] = g[u].b[i];
          squares += v[u].a[i] * v[u].a[i] + v[u].b[i] * v[u].b[i];
        }
        if (part.rotates && place.paired) lane.rotate(u, t.sign, ga[u], gb[u]);
      }
      const float rstd = rsqrtf(lanes_sum<kLanes>(squares) / static_cast<float>(t.head_dim) + t.eps);
      if (part.weight) {
#pragma unroll
        for (int u = 0; u < kUnits; ++u)
#pragma unroll
          for (int i = 0; i < N; ++i) {
            if constexpr (kGrads) {
              dw_a[u * N + i] += ga[u][i] * v[u].a[i] * rstd;
              dw_b[u * N + i] += gb[u][i] * v[u].b[i] * rstd;
            }
            ga[u][i] *= lane.weight[u].a[i] + t.shift;
            gb[u][i] *= lane.weight[u].b[i] + t.shift;
            dot += ga[u][i] * v[u].a[i] + gb[u][i] * v[u].b[i];
          }
        dot = lanes_sum<kLanes>(dot) * rstd * rstd / static_cast<float>(t.head_dim);
      }
      if (!there) continue;
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        const auto place = lane.at(t, u);
        if (!place.inside) continue;
#pragma unroll
        for (int i = 0; i < N; ++i) {
          g[u].a.set(i, part.weight ? rstd * (ga[u][i] - v[u].a[i] * dot) : ga[u][i]);
          g[u].b.set(i, part.weight ? rstd * (gb[u][i] - v[u].b[i] * dot) : gb[u][i]);
        }
        g[u].a.store(dx + head * t.head_dim + place.a);
        if (place.paired) g[u].b.store(dx + head * t.head_dim + place.b);
      }
    }
  }
  if constexpr (kGrads) write_partial(t, part, lane, group, dw_a, dw_b);
}

// Calls f(lanes, units) as constants, for as many units as a head has.
constexpr int64_t kMostUnits = 64;
template <typename F>
void with_layout(int64_t units, const F& f) {
  using std::integral_constant;
  if (units <= 4) return f(integral_constant<int, 4>{}, integral_constant<int, 1>{});
  if (units <= 8) return f(integral_constant<int, 8>{}, integral_constant<int, 1>{});
  if (units <= 16) return f(integral_constant<int, 16>{}, integral_constant<int, 1>{});
  if (units <= 32) return f(integral_constant<int, 32>{}, integral_constant<int, 1>{});
  f(integral_constant<int, 32>{}, integral_constant<int, 2>{});
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

// The parts of q, k and, where it moves, v.
struct Plan {
  Turn turn;
  unsigned parts;
};

Turn plain_turn(int64_t tokens, int64_t head_dim, int64_t rotated, const float* cos, const float* sin, float sign) {
  Turn t{};
  t.tokens = tokens, t.head_dim = static_cast<int>(head_dim), t.half = static_cast<int>(rotated / 2);
  t.cos = cos, t.sin = sin, t.sign = sign;
  return t;
}

Plan plan(const QkvForward& a, size_t size) {
  Plan p{plain_turn(a.tokens, a.head_dim, a.rotated, a.cos, a.sin, 1), 2};
  p.turn.eps = a.eps, p.turn.shift = a.shift;
  const auto* base = static_cast<const char*>(a.qkv);
  const auto part = [&](int64_t first, int64_t heads, const Heads& to, const void* weight, bool rotates) {
    Part part{};
    part.in = base + static_cast<size_t>(first * a.head_dim) * size, part.in_stride = a.qkv_stride;
    part.out = to.data, part.out_stride = to.stride, part.weight = weight;
    part.heads = part.turned = static_cast<int>(heads), part.rotates = rotates && a.rotated > 0;
    return part;
  };
  p.turn.parts[0] = part(0, a.q_heads, a.q, a.q_weight, true);
  p.turn.parts[1] = part(a.q_heads, a.kv_heads, a.k, a.k_weight, true);
  p.turn.parts[2] = part(a.q_heads + a.kv_heads, a.kv_heads, a.v, nullptr, false);
  if (p.turn.parts[2].in == a.v.data) return p;
  const auto* behind_k = static_cast<const char*>(a.k.data) + static_cast<size_t>(a.kv_heads * a.head_dim) * size;
  if (a.v.data == behind_k && a.v.stride == a.k.stride)
    p.turn.parts[1].heads *= 2;
  else
    p.turn.parts[2].turned = 0, p.parts = 3;
  return p;
}

Plan plan(const QkvBackward& a, size_t size) {
  Plan p{plain_turn(a.tokens, a.head_dim, a.rotated, a.cos, a.sin, -1), 2};
  p.turn.eps = a.eps, p.turn.shift = a.shift;
  const auto part = [&](int64_t first, int64_t heads, const Heads& from, const void* weight, float* partial,
                        bool rotates) {
    Part part{};
    const size_t offset = static_cast<size_t>(first * a.head_dim) * size;
    part.in = from.data, part.in_stride = from.stride;
    part.out = static_cast<char*>(a.d_qkv) + offset, part.out_stride = a.d_stride;
    part.x = weight ? static_cast<const char*>(a.qkv) + offset : nullptr, part.x_stride = a.qkv_stride;
    part.weight = weight, part.partial = partial;
    part.heads = part.turned = static_cast<int>(heads), part.rotates = rotates && a.rotated > 0;
    return part;
  };
  p.turn.parts[0] = part(0, a.q_heads, a.dq, a.q_weight, a.partial_q, true);
  p.turn.parts[1] = part(a.q_heads, a.kv_heads, a.dk, a.k_weight, a.partial_k, true);
  p.turn.parts[2] = part(a.q_heads + a.kv_heads, a.kv_heads, a.dv, nullptr, nullptr, false);
  if (p.turn.parts[2].out != a.dv.data) p.parts = 3;
  return p;
}

template <typename T>
void turn_in_registers(const Plan& p, bool norm, int64_t units, Stream stream) {
  const dim3 grid(blocks_for(p.turn.tokens), p.parts);
  with_layout(units, [&](auto lanes, auto each) {
    constexpr int kLanes = decltype(lanes)::value, kUnits = decltype(each)::value;
    if (norm)
      turn_heads<T, kLanes, kUnits, true><<<grid, kThreads, 0, stream_of(stream)>>>(p.turn);
    else
      turn_heads<T, kLanes, kUnits, false><<<grid, kThreads, 0, stream_of(stream)>>>(p.turn);
  });
}

Status forward(const QkvForward& a, Stream stream) {
  if (a.tokens == 0 || a.head_dim == 0) return 0;
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t units = units_of<T>(a.head_dim, a.rotated);
    if (units <= kMostUnits && aligned16(a.qkv, a.q.data, a.k.data, a.v.data, a.cos, a.sin, a.q_weight, a.k_weight) &&
        whole_vectors<T>({a.head_dim, a.rotated / 2, a.qkv_stride, a.q.stride, a.k.stride, a.v.stride}))
      turn_in_registers<T>(plan(a, sizeof(T)), a.q_weight || a.k_weight, units, stream);
    else
      forward_by_walking<T><<<blocks_for(a.tokens * (a.q_heads + 2 * a.kv_heads)), 32, 0, stream_of(stream)>>>(a);
  });
  return launched();
}

Status backward(const QkvBackward& a, Stream stream) {
  const bool grads = a.partial_q || a.partial_k;
  if (a.head_dim == 0 || (a.tokens == 0 && !grads)) return 0;
  with_type(a.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t units = units_of<T>(a.head_dim, a.rotated), count = a.tokens * (a.q_heads + 2 * a.kv_heads);
    if (units > kMostUnits ||
        !aligned16(a.qkv, a.dq.data, a.dk.data, a.dv.data, a.d_qkv, a.cos, a.sin, a.q_weight, a.k_weight) ||
        !whole_vectors<T>(
            {a.head_dim, a.rotated / 2, a.qkv_stride, a.dq.stride, a.dk.stride, a.dv.stride, a.d_stride})) {
      backward_by_walking<T><<<blocks_for(grads ? a.partials : count), 32, 0, stream_of(stream)>>>(a);
      return;
    }
    const Plan p = plan(a, sizeof(T));
    if (!a.q_weight && !a.k_weight) return turn_in_registers<T>(p, false, units, stream);
    with_layout(units, [&](auto lanes, auto each) {
      constexpr int kLanes = decltype(lanes)::value, kUnits = decltype(each)::value;
      if (grads)
        norm_backward<T, kLanes, kUnits, true>
            <<<dim3(blocks_for(a.partials), p.parts), kThreads, a.head_dim * sizeof(float), stream_of(stream)>>>(
                p.turn);
      else
        norm_backward<T, kLanes, kUnits, false>
            <<<dim3(blocks_for(a.tokens), p.parts), kThreads, 0, stream_of(stream)>>>(p.turn);
    });
  });
  return launched();
}

}  // namespace

const SplitQkv kSplitQkv = {forward, backward};

}  // namespace automodel::kernels::cuda
