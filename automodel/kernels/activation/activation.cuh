// Activations and their slopes at one point, for the kernels that apply them.
#pragma once

#include "automodel/kernels/cuda/device.cuh"

namespace automodel::kernels::cuda {

enum Function : int { kSilu, kGelu, kGeluTanh, kRelu, kReluSquared };  // the order of kernels::Activation

// fp32 wants fp32's exactness; what is rounded to 16 bits is not changed by the hardware's approximations.
__device__ __forceinline__ float approximate_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float approximate_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
template <typename T>
__device__ __forceinline__ float sigmoid(float x) {
  if constexpr (sizeof(T) == 4) return 1.0f / (1.0f + expf(-x));
  return approximate_reciprocal(1.0f + approximate_exp2(-1.4426950409f * x));
}
template <typename T>
__device__ __forceinline__ float hyperbolic_tangent(float x) {
  if constexpr (sizeof(T) == 4) return tanhf(x);
  return 1.0f - 2.0f * approximate_reciprocal(1.0f + approximate_exp2(2.8853900818f * x));
}

struct Point {
  float value, slope;
};

template <typename T, int f>
__device__ __forceinline__ Point evaluate(float x) {
  if constexpr (f == kSilu) {
    const float s = sigmoid<T>(x);
    const float value = x * s;
    return {value, s + value * (1.0f - s)};
  } else if constexpr (f == kGelu) {
    const float half = 0.5f * (1.0f + erff(x * 0.7071067812f));
    return {x * half, half + x * 0.3989422804f * expf(-0.5f * x * x)};
  } else if constexpr (f == kGeluTanh) {
    constexpr float kRoot = 0.7978845608f, kCube = 0.044715f;
    const float h = hyperbolic_tangent<T>(kRoot * (x + kCube * x * x * x));
    const float bend = 1.0f - h * h;
    const float slope = bend == 0.0f ? 0.0f : 0.5f * x * bend * kRoot * (1.0f + 3.0f * kCube * x * x);
    return {0.5f * x * (1.0f + h), 0.5f * (1.0f + h) + slope};
  } else if constexpr (f == kRelu) {
    return {x > 0 ? x : 0.0f * x, x > 0 ? 1.0f : 0.0f};  // 0 * x keeps a NaN
  } else {
    return {x > 0 ? x * x : 0.0f * x, x > 0 ? 2.0f * x : 0.0f};
  }
}

/// run(std::integral_constant<int, f>) for the function that `f` names.
template <typename F>
void with_function(int32_t f, const F& run) {
  using std::integral_constant;
  if (f == kSilu) run(integral_constant<int, kSilu>{});
  if (f == kGelu) run(integral_constant<int, kGelu>{});
  if (f == kGeluTanh) run(integral_constant<int, kGeluTanh>{});
  if (f == kRelu) run(integral_constant<int, kRelu>{});
  if (f == kReluSquared) run(integral_constant<int, kReluSquared>{});
}

}  // namespace automodel::kernels::cuda
