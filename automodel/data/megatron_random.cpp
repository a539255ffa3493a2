#include "automodel/data/megatron_random.h"

#include <algorithm>

namespace automodel::data {

RandomState::RandomState(uint32_t seed) {
  for (size_t i = 0; i < kWords; ++i) {
    words_[i] = seed;
    seed = 1812433253u * (seed ^ (seed >> 30)) + static_cast<uint32_t>(i) + 1;
  }
}

RandomState::RandomState(std::span<const uint32_t> words) : RandomState(19650218u) {
  constexpr size_t n = kWords;
  const auto mixed = [&](size_t i, uint32_t factor) {
    return words_[i] ^ ((words_[i - 1] ^ (words_[i - 1] >> 30)) * factor);
  };
  size_t i = 1;
  const auto advance = [&] {
    if (++i < n) return;
    words_[0] = words_[n - 1];
    i = 1;
  };
  for (size_t k = std::max(n, words.size()), j = 0; k > 0; --k, j = (j + 1) % words.size()) {
    words_[i] = mixed(i, 1664525u) + words[j] + static_cast<uint32_t>(j);
    advance();
  }
  for (size_t k = n - 1; k > 0; --k) {
    words_[i] = mixed(i, 1566083941u) - static_cast<uint32_t>(i);
    advance();
  }
  words_[0] = 0x80000000u;
}

double RandomState::uniform() {
  const uint32_t upper = next32() >> 5, lower = next32() >> 6;
  return (upper * 67108864.0 + lower) / 9007199254740992.0;
}

void RandomState::refill() {
  for (size_t i = 0; i < kWords; ++i) {
    const uint32_t joined = (words_[i] & 0x80000000u) | (words_[(i + 1) % kWords] & 0x7fffffffu);
    words_[i] = words_[(i + 397) % kWords] ^ (joined >> 1) ^ ((joined & 1u) != 0 ? 0x9908b0dfu : 0u);
  }
  next_ = 0;
}

uint32_t RandomState::next32() {
  if (next_ == kWords) refill();
  uint32_t word = words_[next_++];
  word ^= word >> 11;
  word ^= (word << 7) & 0x9d2c5680u;
  word ^= (word << 15) & 0xefc60000u;
  return word ^ (word >> 18);
}

uint64_t RandomState::next64() {
  const uint64_t upper = next32();
  return upper << 32 | next32();
}

uint64_t RandomState::interval(uint64_t max) {
  if (max == 0) return 0;
  uint64_t mask = max;
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  while (true) {
    const uint64_t value = (max <= UINT32_MAX ? uint64_t{next32()} : next64()) & mask;
    if (value <= max) return value;
  }
}

}  // namespace automodel::data
