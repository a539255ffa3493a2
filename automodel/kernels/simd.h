// What the CPU kernels share: functions compiled once per instruction set and chosen when the program is loaded, and an
// exponential that the compiler can vectorise.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Sanitizers instrument the resolver that the loader calls before they are ready, so they get the plain version.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(AUTOMODEL_NO_CLONES)
#define AM_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AM_SIMD
#endif
#define AM_INLINE inline __attribute__((always_inline))

namespace automodel::kernels {

/// e^x, relative error < 2e-7 for x in [-87, 88]; below -87.3 it is 0, NaN stays NaN (Cody and Waite reduction, degree
/// 6).
AM_INLINE float exp_fast(float x) {
  const float clamped = x > -87.3f ? (x > 88.7f ? 88.7f : x) : -87.3f;  // NaN too: casting one to int is undefined
  const float n = __builtin_rintf(clamped * 1.44269504f);
  float r = __builtin_fmaf(n, -0.693359375f, clamped);
  r = __builtin_fmaf(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = __builtin_fmaf(p, r, 1.3981999507e-3f);
  p = __builtin_fmaf(p, r, 8.3334519073e-3f);
  p = __builtin_fmaf(p, r, 4.1665795894e-2f);
  p = __builtin_fmaf(p, r, 1.6666665459e-1f);
  p = __builtin_fmaf(p, r, 5.0000001201e-1f);
  p = __builtin_fmaf(p * r, r, r) + 1.0f;
  const float power = std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
  return x >= -87.3f ? p * power : (x < -87.3f ? 0.0f : x);
}

AM_INLINE float sigmoid_fast(float x) { return 1.0f / (1.0f + exp_fast(-x)); }

/// tanh by e^(2x): absolute error < 3e-7.
AM_INLINE float tanh_fast(float x) { return 1.0f - 2.0f / (exp_fast(2.0f * x) + 1.0f); }

inline constexpr int kLanes =
    16;  // partial sums kept side by side, so that a reduction vectorises without reordering flags

/// Sum of f(i) for i in [0, n), in kLanes partial sums added pairwise: one order, whatever the number of threads.
template <class F>
AM_INLINE float lane_sum(int64_t n, F f) {
  float partial[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) partial[lane] += f(i + lane);
  for (int lane = 0; i < n; ++i, ++lane) partial[lane] += f(i);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
  return partial[0];
}

template <class F>
AM_INLINE float lane_max(int64_t n, F f) {
  float partial[kLanes];
  for (float& value : partial) value = -INFINITY;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) partial[lane] = f(i + lane) > partial[lane] ? f(i + lane) : partial[lane];
  for (int lane = 0; i < n; ++i, ++lane) partial[lane] = f(i) > partial[lane] ? f(i) : partial[lane];
  float best = partial[0];
  for (const float value : partial) best = value > best ? value : best;
  return best;
}

}  // namespace automodel::kernels
