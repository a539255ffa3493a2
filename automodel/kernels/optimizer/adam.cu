#include "automodel/kernels/cuda/list.cuh"
#include "automodel/kernels/cuda/philox.cuh"
#include "automodel/kernels/optimizer/launches.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256, kChunk = 1 << 16;

// kPer elements of T.
template <typename T, int kPer>
struct alignas(kPer * sizeof(T)) Pack {
  T at[kPer];
};
template <typename T, int kPer>
__device__ __forceinline__ Pack<T, kPer> load(const void* base, int64_t i, int count) {
  const T* from = static_cast<const T*>(base) + i;
  Pack<T, kPer> q;
  using Bits = std::conditional_t<sizeof(q) == 16, uint4, uint2>;
  if (count == kPer) {
    *reinterpret_cast<Bits*>(&q) = *reinterpret_cast<const Bits*>(from);
    return q;
  }
#pragma unroll
  for (int k = 0; k < kPer; ++k) q.at[k] = k < count ? from[k] : T{};
  return q;
}
template <typename T, int kPer>
__device__ __forceinline__ void store(void* base, int64_t i, int count, const Pack<T, kPer>& q) {
  T* to = static_cast<T*>(base) + i;
  static_assert(sizeof(q) == 16 || sizeof(q) == 8);
  if (count == kPer) {
    using Bits = std::conditional_t<sizeof(q) == 16, uint4, uint2>;
    *reinterpret_cast<Bits*>(to) = *reinterpret_cast<const Bits*>(&q);
    return;
  }
#pragma unroll
  for (int k = 0; k < kPer; ++k)
    if (k < count) to[k] = q.at[k];
}

// The bf16 nearest to x; of two as near the one away from zero, so that 16 bits more hold x (rounding.h).
__device__ __forceinline__ bf16 round_away(float x) {
  uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) != 0x7f800000u)
    bits += 0x8000u;
  else if (bits & 0x007fffffu)
    bits |= 0x00400000u;
  return __ushort_as_bfloat16(static_cast<unsigned short>(bits >> 16));
}

// x rounded to bf16, up with the probability of what is cut off; `chance` has 16 random bits.
__device__ __forceinline__ bf16 round_by_chance(float x, uint32_t chance) {
  uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) != 0x7f800000u)
    bits += chance & 0xffffu;
  else if (bits & 0x007fffffu)
    bits |= 0x00400000u;
  return __ushort_as_bfloat16(static_cast<unsigned short>(bits >> 16));
}

// m / (sqrt(v) inverse_root + eps) within a few units of fp32's last place: far below what the update's size is worth.
// These instructions take what is below 2^-126 for zero; v is raised to it, so that 0 / 0 cannot be where eps is 0.
__device__ __forceinline__ float direction(float m, float v, float inverse_root, float eps) {
  float root, inverse;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(fmaxf(v, 0x1p-126f)));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(fmaf(root, inverse_root, eps)));
  return m * inverse;
}

template <typename S, Master kMaster>
__device__ __forceinline__ S round_state(float x, uint32_t chance) {
  if constexpr (kMaster == Master::Stochastic && sizeof(S) == 2)
    return round_by_chance(x, chance);
  else
    return from_float<S>(x);
}

struct Settings {
  double beta1, beta2;
  float b1, b2, rest1, rest2;  // in the kernel such conversions would be made again and again
  float eps;
  bool decoupled, maximize, amsgrad;
  uint64_t seed;
  const GradientStats* stats;
};

template <Master kMaster>
using LowOf = std::conditional_t<kMaster == Master::Split, int16_t, float>;
template <Master kMaster>
constexpr bool kHasLow = kMaster == Master::Full || kMaster == Master::Split;

// Elements a thread takes at once, 16 bytes of the widest: of 16-bit types alone it has twice as many on their way.
template <typename W, typename G, typename S, Master kMaster>
constexpr int kElements = 16 / std::max({sizeof(W), sizeof(G), sizeof(S),
                                         kHasLow<kMaster> ? sizeof(LowOf<kMaster>) : size_t{2}});

// What a thread computes at once; v_max is read where it is needed.
template <typename W, typename G, typename S, Master kMaster>
struct Element {
  static constexpr int kPer = kElements<W, G, S, kMaster>;
  Pack<W, kPer> w;
  Pack<G, kPer> g;
  Pack<S, kPer> m, v;
  Pack<LowOf<kMaster>, kPer> low;

  __device__ __forceinline__ void load(const AdamTensor& t, int64_t at, int count) {
    w = cuda::load<W, kPer>(t.weight, at, count), g = cuda::load<G, kPer>(t.grad, at, count);
    m = cuda::load<S, kPer>(t.m, at, count), v = cuda::load<S, kPer>(t.v, at, count);
    if constexpr (kHasLow<kMaster>) low = cuda::load<LowOf<kMaster>, kPer>(t.low, at, count);
  }
  __device__ __forceinline__ void store(const AdamTensor& t, int64_t at, int count) const {
    cuda::store(t.weight, at, count, w), cuda::store(t.m, at, count, m), cuda::store(t.v, at, count, v);
    if constexpr (kHasLow<kMaster>) cuda::store(t.low, at, count, low);
  }
  __device__ __forceinline__ float weight(int k) const {
    if constexpr (kMaster == Master::Full)
      return low.at[k];
    else if constexpr (kMaster == Master::Split)
      return __uint_as_float((uint32_t(__bfloat16_as_ushort(w.at[k])) << 16) + uint32_t(int32_t(low.at[k])));
    else
      return to_float(w.at[k]);
  }
  __device__ __forceinline__ void set_weight(int k, float x, uint32_t chance) {
    if constexpr (kMaster == Master::Stochastic) {
      w.at[k] = round_by_chance(x, chance);
    } else if constexpr (kMaster == Master::Split) {
      const uint32_t bits = __float_as_uint(x);
      w.at[k] = round_away(x);
      const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
      low.at[k] = finite ? static_cast<int16_t>(bits - (uint32_t(__bfloat16_as_ushort(w.at[k])) << 16)) : int16_t{0};
    } else if constexpr (kMaster == Master::Full) {
      low.at[k] = x;
      if constexpr (std::is_same_v<W, bf16>)
        w.at[k] = round_away(x);
      else
        w.at[k] = from_float<W>(x);
    } else {
      w.at[k] = from_float<W>(x);
    }
  }
};

// What is one for all elements of a tensor.
struct Rule {
  float grad_scale, decay, lr_decay, size, inverse_root;
  uint64_t seed;
};

template <typename W, typename G, typename S, Master kMaster>
__device__ __forceinline__ void advance(Element<W, G, S, kMaster>& e, const AdamTensor& t, const Settings& s,
                                        const Rule& r, int64_t at, int count) {
  constexpr int kPer = Element<W, G, S, kMaster>::kPer;
  Pack<S, kPer> v_max;
  if (s.amsgrad) v_max = load<S, kPer>(t.v_max, at, count);
  // Element i takes word i % 4 of those of i / 4 * 4, wherever a thread begins: at a multiple of kPer / 2.
  uint4 chance[kPer / 4] = {};
  if constexpr (kMaster == Master::Stochastic) {
#pragma unroll
    for (int four = 0; four < kPer / 4; ++four) chance[four] = philox(uint64_t(at / 4 * 4 + four * 4), t.key, r.seed);
    if (kPer == 4 && at % 4 != 0) chance[0].x = chance[0].z, chance[0].y = chance[0].w;
  }
  const auto* words = reinterpret_cast<const uint32_t*>(chance);
#pragma unroll
  for (int k = 0; k < kPer; ++k) {
    float x = e.weight(k), grad = to_float(e.g.at[k]) * r.grad_scale;
    if (s.decoupled)
      x -= r.lr_decay * x;
    else
      grad += r.decay * x;
    const float m_new = s.b1 * to_float(e.m.at[k]) + s.rest1 * grad;
    const float v_new = s.b2 * to_float(e.v.at[k]) + s.rest2 * grad * grad;
    e.m.at[k] = from_float<S>(m_new);
    e.v.at[k] = round_state<S, kMaster>(v_new, words[k] >> 16);
    float v_used = v_new;
    if (s.amsgrad) {
      v_used = fmaxf(to_float(v_max.at[k]), v_new);
      v_max.at[k] = round_state<S, kMaster>(v_used, words[k] >> 16);  // as v, so that it stays the larger
    }
    x -= r.size * direction(m_new, v_used, r.inverse_root, s.eps);
    e.set_weight(k, x, words[k]);
  }
  e.store(t, at, count);
  if (s.amsgrad) store(t.v_max, at, count, v_max);
}

template <typename W, typename S, typename G, Master kMaster>
__device__ __forceinline__ bool aligned(const AdamTensor& t) {
  const uintptr_t places =
      reinterpret_cast<uintptr_t>(t.weight) / sizeof(W) | reinterpret_cast<uintptr_t>(t.grad) / sizeof(G) |
      reinterpret_cast<uintptr_t>(t.m) / sizeof(S) | reinterpret_cast<uintptr_t>(t.v) / sizeof(S) |
      reinterpret_cast<uintptr_t>(t.low) / sizeof(LowOf<kMaster>) | reinterpret_cast<uintptr_t>(t.v_max) / sizeof(S);
  return places % kElements<W, G, S, kMaster> == 0;
}

// Else the compiler reads the argument again for each element: an indexed constant costs more than a register.
template <typename T>
__device__ __forceinline__ void keep_in_registers(T*& pointer) {
  asm volatile("" : "+l"(pointer));
  __builtin_assume(__isGlobal(pointer));
}

template <typename W, typename G, typename S, Master kMaster>
__global__ void __launch_bounds__(kThreads) update(const __grid_constant__ List<AdamTensor> list, Settings s) {
  if (s.stats && s.stats->bad) return;
  __shared__ float corrections[2];
  constexpr int kPer = kElements<W, G, S, kMaster>, kStride = kThreads * kPer;
  for (int64_t chunk = blockIdx.x; chunk < list.chunks; chunk += gridDim.x) {
    const auto place = list.find(chunk);
    AdamTensor t = list.tensors[place.tensor];
    keep_in_registers(t.weight), keep_in_registers(t.grad), keep_in_registers(t.m), keep_in_registers(t.v);
    const double step = double(*t.step) + 1;
    __syncthreads();
    if (threadIdx.x == 0) {
      corrections[0] = float(t.lr / (1 - pow(s.beta1, step)));
      corrections[1] = float(1 / sqrt(1 - pow(s.beta2, step)));
    }
    __syncthreads();
    const Rule rule{.grad_scale = (s.stats ? s.stats->factor : 1.0f) * (s.maximize ? -1.0f : 1.0f),
                    .decay = t.decay,
                    .lr_decay = t.lr * t.decay,
                    .size = corrections[0],
                    .inverse_root = corrections[1],
                    .seed = s.seed + uint64_t(step)};
    const int64_t begin = place.chunk * kChunk, end = min(begin + kChunk, t.count);
    const int64_t whole = aligned<W, S, G, kMaster>(t) ? begin + (end - begin) / kPer * kPer : begin;
    Element<W, G, S, kMaster> now;
    int64_t i = begin + int64_t(threadIdx.x) * kPer;
    for (; i < whole; i += kStride) {
      now.load(t, i, kPer);
      advance(now, t, s, rule, i, kPer);
    }
    // Fewer than kPer at a time: what is left over, or all of a tensor that is not aligned.
    for (i = whole + int64_t(threadIdx.x) * (kPer / 2); i < end; i += kStride / 2) {
      const int count = int(min(int64_t{kPer / 2}, end - i));
      now.load(t, i, count);
      advance(now, t, s, rule, i, count);
    }
  }
}

struct StepPlace {
  float* step;
};
__global__ void __launch_bounds__(kThreads)
    count_steps(const __grid_constant__ List<StepPlace> list, const GradientStats* stats) {
  if (stats && stats->bad) return;
  for (int i = threadIdx.x; i < list.count; i += kThreads) *list.tensors[i].step += 1;
}

template <typename W, typename G, typename S, Master kMaster>
void launch(const AdamUpdate& a, Stream stream) {
  const Settings settings{.beta1 = a.beta1,
                          .beta2 = a.beta2,
                          .b1 = float(a.beta1),
                          .b2 = float(a.beta2),
                          .rest1 = float(1 - a.beta1),
                          .rest2 = float(1 - a.beta2),
                          .eps = a.eps,
                          .decoupled = a.decoupled,
                          .maximize = a.maximize,
                          .amsgrad = a.amsgrad,
                          .seed = a.seed,
                          .stats = a.stats};
  for_each_list(
      a.tensors, a.count, [](const AdamTensor& t) { return divide_up(t.count, kChunk); },
      [&](const List<AdamTensor>& list) {
        update<W, G, S, kMaster><<<blocks_for(list.chunks), kThreads, 0, stream_of(stream)>>>(list, settings);
      });
}

template <typename W, Master kMaster>
bool launch_with_grad(const AdamUpdate& a, Stream stream) {
  const bool own = a.grad == (sizeof(W) == 4 ? DType::Float : std::is_same_v<W, bf16> ? DType::BFloat16 : DType::Half);
  if (!own && a.grad != DType::Float) return false;
  if (a.state == DType::Float) {
    if (own)
      launch<W, W, float, kMaster>(a, stream);
    else
      launch<W, float, float, kMaster>(a, stream);
  } else if (a.state == DType::BFloat16) {
    if (own)
      launch<W, W, bf16, kMaster>(a, stream);
    else
      launch<W, float, bf16, kMaster>(a, stream);
  } else {
    return false;
  }
  return true;
}

}  // namespace

// fp32, bf16 and fp16 weights; gradients of the weight's dtype or fp32; states fp32 or bf16.
Status adam_update(const AdamUpdate& a, Stream stream) {
  bool fits = false;
  if (a.weight == DType::Float && a.master == Master::None) fits = launch_with_grad<float, Master::None>(a, stream);
  if (a.weight == DType::Half && a.master == Master::None) fits = launch_with_grad<__half, Master::None>(a, stream);
  if (a.weight == DType::Half && a.master == Master::Full) fits = launch_with_grad<__half, Master::Full>(a, stream);
  if (a.weight == DType::BFloat16) {
    if (a.master == Master::None) fits = launch_with_grad<bf16, Master::None>(a, stream);
    if (a.master == Master::Full) fits = launch_with_grad<bf16, Master::Full>(a, stream);
    if (a.master == Master::Split) fits = launch_with_grad<bf16, Master::Split>(a, stream);
    if (a.master == Master::Stochastic) fits = launch_with_grad<bf16, Master::Stochastic>(a, stream);
  }
  return fits ? launched() : static_cast<Status>(cudaErrorInvalidValue);
}

Status adam_steps(const AdamSteps& a, Stream stream) {
  static_assert(sizeof(StepPlace) == sizeof(float*));
  for_each_list(
      reinterpret_cast<const StepPlace*>(a.steps), a.count, [](const StepPlace&) { return int64_t{1}; },
      [&](const List<StepPlace>& list) { count_steps<<<1, kThreads, 0, stream_of(stream)>>>(list, a.stats); });
  return launched();
}

}  // namespace automodel::kernels::cuda
