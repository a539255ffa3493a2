// How an fp32 weight becomes one of 16 bits: to the nearest, split in two halves, or by chance. On any device here by
// plain operations or loops; the GPU's update (adam.cu) does the same on the way.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace automodel::kernels {

/// weight = the nearest to `exact` (fp32, contiguous, of weight's shape). Of two bf16 as near it is the one away from
/// zero: then 2^16 fp32 numbers round to each bf16, and 16 bits more tell which. fp16: to the even one, as torch.
void round_to_nearest(const at::Tensor& exact, const at::Tensor& weight);

/// bf16 `weight` as round_to_nearest(), and `remainder` (int16) such that the bits of exact are those of weight, as
/// fp32, plus remainder. What is not finite has remainder 0. CPU.
void split_weight(const at::Tensor& exact, const at::Tensor& weight, const at::Tensor& remainder);

/// The fp32 numbers that were split. CPU.
at::Tensor join_weight(const at::Tensor& weight, const at::Tensor& remainder);

/// Where the random bits of a rounding come from: element i takes word i % 4 of Philox-4x32-10 with key `seed` and
/// counter (i / 4 * 4, stream).
struct Chance {
  uint64_t seed = 0;    // of the run and the update
  uint64_t stream = 0;  // of the tensor
  bool upper = false;   // the word's upper 16 bits instead of its lower ones
};

/// rounded (bf16) = exact, up or down in magnitude with the probability that makes the mean exact. CPU.
void round_by_chance(const at::Tensor& exact, const at::Tensor& rounded, const Chance& chance);

}  // namespace automodel::kernels
