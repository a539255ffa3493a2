#include "automodel/base/crc32c.h"

#include <array>
#include <cstring>

#ifdef __x86_64__
#include <nmmintrin.h>
#endif

namespace automodel {

static constexpr std::array<uint32_t, 256> kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0);
    table[i] = value;
  }
  return table;
}();

static uint32_t plain(uint32_t state, const unsigned char* data, size_t size) {
  for (size_t i = 0; i < size; ++i) state = state >> 8 ^ kTable[(state ^ data[i]) & 0xFF];
  return state;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t fast(uint32_t state, const unsigned char* data, size_t size) {
  uint64_t wide = state;
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  return plain(static_cast<uint32_t>(wide), data, size);
}
#endif

uint32_t crc32c(uint32_t crc, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
#ifdef __x86_64__
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return ~fast(~crc, bytes, size);
#endif
  return ~plain(~crc, bytes, size);
}

}  // namespace automodel
