#include "automodel/base/random.h"

#include <fmt/format.h>

#include "automodel/base/error.h"

namespace automodel {

static uint64_t splitmix(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

RandomKey::RandomKey(std::initializer_list<uint64_t> words) : value_(0) {
  for (const uint64_t word : words) value_ = splitmix(value_ ^ splitmix(word));
}
RandomKey RandomKey::with(uint64_t word) const { return RandomKey(splitmix(value_ ^ splitmix(word))); }

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += 0x9E3779B9, k1 += 0xBB67AE85;
  }
  return c;
}

std::array<uint32_t, 4> philox(RandomKey key, uint64_t counter) {
  return philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0},
                    static_cast<uint32_t>(key.value()), static_cast<uint32_t>(key.value() >> 32));
}

double uniform(RandomKey key, uint64_t counter) {
  const auto words = philox(key, counter);
  return static_cast<double>((uint64_t{words[0]} << 32 | words[1]) >> 11) * 0x1.0p-53;
}

Permutation::Permutation(uint64_t size, RandomKey key) : size_(size), half_bits_(1), key_(key) {
  while (half_bits_ < 32 && (uint64_t{1} << (2 * half_bits_)) < size) ++half_bits_;
}

uint64_t Permutation::operator()(uint64_t index) const {
  AM_CHECK(index < size_, "{} of {}", index, size_);
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  do {  // a bijection on the power of four, so following it from inside always comes back inside
    uint64_t left = index >> half_bits_, right = index & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t mixed = philox(key_.with(round), right)[0] & mask;
      const uint64_t next = left ^ mixed;
      left = right, right = next;
    }
    index = left << half_bits_ | right;
  } while (index >= size_);
  return index;
}

}  // namespace automodel
