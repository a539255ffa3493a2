#include "automodel/kernels/optimizer/rounding.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bitwise_and.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/where.h>

#include <bit>

#include "automodel/base/error.h"
#include "automodel/base/random.h"

namespace automodel::kernels {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements worth a thread
constexpr uint32_t kExponent = 0x7f800000;

bool is_finite(uint32_t bits) { return (bits & kExponent) != kExponent; }

// A NaN must not lose the bits that make it one.
uint32_t upper_of_special(uint32_t bits) { return (bits & 0x007fffff ? bits | 0x00400000 : bits) >> 16; }

uint16_t nearest(uint32_t bits) {
  return static_cast<uint16_t>(is_finite(bits) ? (bits + 0x8000) >> 16 : upper_of_special(bits));
}

const uint32_t* bits_of(const at::Tensor& exact) {
  AM_CHECK(exact.is_contiguous() && exact.scalar_type() == at::kFloat && exact.is_cpu(), "rounding");
  return reinterpret_cast<const uint32_t*>(exact.const_data_ptr<float>());
}

uint16_t* halves_of(const at::Tensor& x, at::ScalarType dtype) {
  AM_CHECK(x.is_contiguous() && x.scalar_type() == dtype && x.is_cpu(), "rounding");
  return static_cast<uint16_t*>(x.mutable_data_ptr());
}

void nearest_by_operations(const at::Tensor& exact, const at::Tensor& weight) {
  const auto bits = exact.view(at::kInt);
  const auto rounded = at::bitwise_right_shift(bits + 0x8000, 16).to(at::kShort).view(at::kBFloat16);
  weight.copy_(at::where(at::isfinite(exact), rounded, exact.to(at::kBFloat16)));
}

}  // namespace

void round_to_nearest(const at::Tensor& exact, const at::Tensor& weight) {
  if (weight.scalar_type() != at::kBFloat16) {
    weight.copy_(exact);
    return;
  }
  if (!weight.is_cpu() || !weight.is_contiguous()) return nearest_by_operations(exact, weight);
  const auto* from = bits_of(exact);
  auto* to = halves_of(weight, at::kBFloat16);
  at::parallel_for(0, weight.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = nearest(from[i]);
  });
}

void split_weight(const at::Tensor& exact, const at::Tensor& weight, const at::Tensor& remainder) {
  const auto* from = bits_of(exact);
  auto *to = halves_of(weight, at::kBFloat16), *rest = halves_of(remainder, at::kShort);
  at::parallel_for(0, weight.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      to[i] = nearest(from[i]);
      rest[i] = is_finite(from[i]) ? static_cast<uint16_t>(from[i] - (uint32_t{to[i]} << 16)) : uint16_t{0};
    }
  });
}

at::Tensor join_weight(const at::Tensor& weight, const at::Tensor& remainder) {
  auto exact = at::empty_like(weight, weight.options().dtype(at::kFloat));
  auto* to = reinterpret_cast<uint32_t*>(exact.mutable_data_ptr<float>());
  const auto* from = halves_of(weight, at::kBFloat16);
  const auto* rest = reinterpret_cast<const int16_t*>(halves_of(remainder, at::kShort));
  at::parallel_for(0, weight.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      to[i] = (uint32_t{from[i]} << 16) + static_cast<uint32_t>(static_cast<int32_t>(rest[i]));
  });
  return exact;
}

void round_by_chance(const at::Tensor& exact, const at::Tensor& rounded, const Chance& chance) {
  const auto* from = bits_of(exact);
  auto* to = halves_of(rounded, at::kBFloat16);
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const int64_t count = rounded.numel();
  at::parallel_for(0, (count + 3) / 4, kGrain / 4, [&](int64_t begin, int64_t end) {
    for (int64_t four = begin; four < end; ++four) {
      const auto first = static_cast<uint64_t>(four * 4);
      const auto words = philox4x32({low(first), high(first), low(chance.stream), high(chance.stream)},
                                    low(chance.seed), high(chance.seed));
      for (int64_t i = four * 4; i < std::min(count, four * 4 + 4); ++i) {
        const uint32_t word = words[static_cast<size_t>(i % 4)], bits = from[i];
        to[i] = static_cast<uint16_t>(is_finite(bits) ? (bits + (chance.upper ? word >> 16 : word & 0xffff)) >> 16
                                                      : upper_of_special(bits));
      }
    }
  });
}

}  // namespace automodel::kernels
