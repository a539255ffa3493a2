#include "automodel/kernels/cuda/list.cuh"
#include "automodel/kernels/optimizer/launches.cuh"

namespace automodel::kernels::cuda {
namespace {

constexpr int kThreads = 256, kPer = 4, kChunk = 1 << 14;

// kPer elements of T: 16 bytes of fp32, 8 of a 16-bit type.
template <typename T>
struct alignas(kPer * sizeof(T)) Quad {
  T at[kPer];
};
template <typename T>
__device__ __forceinline__ Quad<T> load(const void* base, int64_t i, int count) {
  const T* from = static_cast<const T*>(base) + i;
  if (count == kPer) return *reinterpret_cast<const Quad<T>*>(from);
  Quad<T> q;
#pragma unroll
  for (int k = 0; k < kPer; ++k) q.at[k] = k < count ? from[k] : T{};
  return q;
}
template <typename T>
__device__ __forceinline__ void store(void* base, int64_t i, int count, const Quad<T>& q) {
  T* to = static_cast<T*>(base) + i;
  if (count == kPer) {
    *reinterpret_cast<Quad<T>*>(to) = q;
    return;
  }
#pragma unroll
  for (int k = 0; k < kPer; ++k)
    if (k < count) to[k] = q.at[k];
}

// Philox4x32-7 (Salmon et al. 2011): four random words, a function of counter and key.
__device__ __forceinline__ uint4 random_words(uint64_t counter, uint64_t stream, uint64_t key) {
  uint4 c = make_uint4(uint32_t(counter), uint32_t(counter >> 32), uint32_t(stream), uint32_t(stream >> 32));
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
#pragma unroll
  for (int round = 0; round < 7; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = make_uint4(high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return c;
}

// x rounded to bf16, up with the probability of what is cut off; `chance` has 16 random bits.
__device__ __forceinline__ bf16 round_by_chance(float x, uint32_t chance) {
  uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits += chance & 0xffffu;
  return __ushort_as_bfloat16(static_cast<unsigned short>(bits >> 16));
}

// Within 2^-23: far below what the update's size is worth.
__device__ __forceinline__ float square_root(float x) {
  float y;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
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
  float eps;
  bool decoupled, maximize, amsgrad;
  uint64_t seed;
  const GradientStats* stats;
};

template <Master kMaster>
using Low = std::conditional_t<kMaster == Master::Split, int16_t, float>;

// kPer elements of a weight and its states, in registers.
template <typename W, typename S, Master kMaster>
struct Piece {
  static constexpr bool kHasLow = kMaster == Master::Full || kMaster == Master::Split;
  Quad<W> w;
  Quad<S> m, v, v_max;
  Quad<Low<kMaster>> low;

  __device__ __forceinline__ void read(const AdamTensor& t, int64_t at, int count, bool amsgrad) {
    w = load<W>(t.weight, at, count);
    m = load<S>(t.m, at, count), v = load<S>(t.v, at, count);
    if constexpr (kHasLow) low = load<Low<kMaster>>(t.low, at, count);
    if (amsgrad) v_max = load<S>(t.v_max, at, count);
  }
  __device__ __forceinline__ void write(const AdamTensor& t, int64_t at, int count, bool amsgrad) const {
    store(t.weight, at, count, w);
    store(t.m, at, count, m);
    store(t.v, at, count, v);
    if constexpr (kHasLow) store(t.low, at, count, low);
    if (amsgrad) store(t.v_max, at, count, v_max);
  }

  // The weight at full precision.
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
      const uint32_t high = (bits + 0x8000u) >> 16;
      w.at[k] = __ushort_as_bfloat16(static_cast<unsigned short>(high));
      low.at[k] = static_cast<int16_t>(bits - (high << 16));
    } else {
      w.at[k] = from_float<W>(x);
      if constexpr (kMaster == Master::Full) low.at[k] = x;
    }
  }
};

// What the formula needs of the settings and of one tensor.
struct Rates {
  float b1, b2, rest1, rest2;  // betas, and what they leave to 1
  float scale;                 // of gradients
  float size, inverse_root;    // lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t)
};

// One element of a piece.
template <typename W, typename S, Master kMaster>
__device__ __forceinline__ void update_element(Piece<W, S, kMaster>& piece, int k, float grad, uint32_t chance,
                                               const Rates& r, const Settings& s, const AdamTensor& t) {
  float x = piece.weight(k);
  grad *= r.scale;
  if (s.decoupled)
    x -= t.lr * t.decay * x;
  else
    grad += t.decay * x;
  const float m_new = r.b1 * to_float(piece.m.at[k]) + r.rest1 * grad;
  const float v_new = r.b2 * to_float(piece.v.at[k]) + r.rest2 * grad * grad;
  piece.m.at[k] = from_float<S>(m_new);
  piece.v.at[k] = round_state<S, kMaster>(v_new, chance >> 16);
  float v_used = v_new;
  if (s.amsgrad) {
    v_used = fmaxf(to_float(piece.v_max.at[k]), v_new);
    piece.v_max.at[k] = round_state<S, kMaster>(v_used, chance >> 16);  // as v, so that it stays the larger
  }
  x -= r.size * __fdividef(m_new, square_root(v_used) * r.inverse_root + s.eps);
  piece.set_weight(k, x, chance);
}

template <typename W, typename G, typename S, Master kMaster>
__device__ __forceinline__ bool is_aligned(const AdamTensor& t) {
  const uintptr_t places =
      reinterpret_cast<uintptr_t>(t.weight) / sizeof(W) | reinterpret_cast<uintptr_t>(t.grad) / sizeof(G) |
      reinterpret_cast<uintptr_t>(t.m) / sizeof(S) | reinterpret_cast<uintptr_t>(t.v) / sizeof(S) |
      reinterpret_cast<uintptr_t>(t.low) / sizeof(Low<kMaster>) | reinterpret_cast<uintptr_t>(t.v_max) / sizeof(S);
  return places % kPer == 0;
}

template <typename W, typename G, typename S, Master kMaster>
__global__ void __launch_bounds__(kThreads) update(const __grid_constant__ List<AdamTensor> list, Settings s) {
  if (s.stats && s.stats->bad) return;
  __shared__ float corrections[2];
  Rates r{float(s.beta1), float(s.beta2), float(1 - s.beta1), float(1 - s.beta2)};
  r.scale = (s.stats ? s.stats->factor : 1.0f) * (s.maximize ? -1.0f : 1.0f);
  for (int64_t chunk = blockIdx.x; chunk < list.chunks; chunk += gridDim.x) {
    const auto place = list.find(chunk);
    const AdamTensor& t = list.tensors[place.tensor];
    const double step = double(*t.step) + 1;
    __syncthreads();
    if (threadIdx.x == 0) {
      corrections[0] = float(t.lr / (1 - pow(s.beta1, step)));
      corrections[1] = float(1 / sqrt(1 - pow(s.beta2, step)));
    }
    __syncthreads();
    r.size = corrections[0], r.inverse_root = corrections[1];
    const bool aligned = is_aligned<W, G, S, kMaster>(t);
    const int64_t begin = place.chunk * kChunk, end = min(begin + kChunk, t.count);
    for (int64_t i = begin + int64_t(threadIdx.x) * kPer; i < end; i += kThreads * kPer) {
      // A tensor that is not aligned goes element by element: count < kPer says so to load and store.
      const int there = int(min(int64_t{kPer}, end - i)), pieces = aligned || there < kPer ? 1 : 2;
      for (int half = 0; half < pieces; ++half) {
        const int64_t at = i + half * (kPer / 2);
        const int count = pieces == 1 ? there : kPer / 2;
        Piece<W, S, kMaster> piece;
        piece.read(t, at, count, s.amsgrad);
        const auto g = load<G>(t.grad, at, count);
        uint4 chance = {};
        if constexpr (kMaster == Master::Stochastic)
          chance = random_words(uint64_t(at), t.key, s.seed + uint64_t(step));
        const uint32_t words[kPer] = {chance.x, chance.y, chance.z, chance.w};
#pragma unroll
        for (int k = 0; k < kPer; ++k) update_element(piece, k, to_float(g.at[k]), words[k], r, s, t);
        piece.write(t, at, count, s.amsgrad);
      }
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
  const Settings settings{a.beta1, a.beta2, a.eps, a.decoupled, a.maximize, a.amsgrad, a.seed, a.stats};
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
