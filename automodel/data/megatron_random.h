// numpy's RandomState: the Mersenne Twister and the shuffle by which Megatron orders its samples; and Python's seeding.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace automodel::data {

/// numpy.random.RandomState(seed), bit for bit: MT19937 (Matsumoto and Nishimura 1998) seeded by one word.
class RandomState {
 public:
  explicit RandomState(uint32_t seed);
  /// random.seed() of Python for the integer of these words, the lowest first: MT19937 seeded by an array.
  explicit RandomState(std::span<const uint32_t> words);

  uint32_t next32();
  uint64_t next64();  // the first word drawn is the upper one
  double uniform();   // [0, 1), 53 bits: random.random() of Python, random_sample() of numpy
  /// Uniform in [0, max]: words under the smallest mask that holds max, drawn until one does not exceed it.
  uint64_t interval(uint64_t max);

  /// RandomState.shuffle of an array: from the last place down, each entry is swapped with one at or below it.
  template <class T>
  void shuffle(std::span<T> values) {
    for (size_t i = values.size(); i-- > 1;) std::swap(values[i], values[interval(i)]);
  }

 private:
  static constexpr size_t kWords = 624;
  void refill();
  std::array<uint32_t, kWords> words_;
  size_t next_ = kWords;
};

}  // namespace automodel::data
