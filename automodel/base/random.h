// Random numbers as a pure function of a key and a counter (Philox-4x32-10, Salmon et al. 2011), so that nothing has to
// be saved to continue a run: the same (seed, step, microbatch, block, op) always gives the same numbers.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

namespace automodel {

/// A 64-bit key mixed from any number of words (splitmix64 over them): RandomKey{seed, step, microbatch, block, op}.
class RandomKey {
 public:
  RandomKey(std::initializer_list<uint64_t> words);
  RandomKey with(uint64_t word) const;  // a key below this one
  uint64_t value() const { return value_; }

 private:
  explicit RandomKey(uint64_t value) : value_(value) {}
  uint64_t value_;
};

/// The block function itself: ten rounds over a counter of four words with a key of two.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, uint32_t k0, uint32_t k1);

/// Four random words for one counter value.
std::array<uint32_t, 4> philox(RandomKey key, uint64_t counter);

/// Uniform in [0, 1), from the counter-th draw: 53 bits.
double uniform(RandomKey key, uint64_t counter);

/// A permutation of 0..size-1 whose entries are computed one at a time in O(1): a Feistel network over the next power
/// of four, walked until the value lies inside (Black and Rogaway 2002).
class Permutation {
 public:
  Permutation(uint64_t size, RandomKey key);
  uint64_t operator()(uint64_t index) const;  // REQUIRES index < size
  uint64_t size() const { return size_; }

 private:
  uint64_t size_;
  int half_bits_;
  RandomKey key_;
};

}  // namespace automodel
