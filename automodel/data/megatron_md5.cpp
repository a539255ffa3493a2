#include "automodel/data/megatron_md5.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace automodel::data {
namespace {

using State = std::array<uint32_t, 4>;

void add_block(State& state, const char* block) {
  static const auto kSines = [] {  // floor(2^32 |sin(i + 1)|)
    std::array<uint32_t, 64> table{};
    for (size_t i = 0; i < 64; ++i)
      table[i] = static_cast<uint32_t>(std::floor(4294967296.0 * std::fabs(std::sin(static_cast<double>(i + 1)))));
    return table;
  }();
  static constexpr int kTurns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  std::array<uint32_t, 16> words;
  std::memcpy(words.data(), block, 64);
  auto [a, b, c, d] = state;
  for (uint32_t i = 0; i < 64; ++i) {
    uint32_t mixed, word;
    switch (i / 16) {
      case 0:
        mixed = (b & c) | (~b & d), word = i;
        break;
      case 1:
        mixed = (d & b) | (~d & c), word = 5 * i + 1;
        break;
      case 2:
        mixed = b ^ c ^ d, word = 3 * i + 5;
        break;
      default:
        mixed = c ^ (b | ~d), word = 7 * i;
    }
    mixed += a + kSines[i] + words[word % 16];
    a = d, d = c, c = b;
    b += std::rotl(mixed, kTurns[i / 16][i % 4]);
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

}  // namespace

std::string md5(std::string_view bytes) {
  State state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  size_t at = 0;
  for (; at + 64 <= bytes.size(); at += 64) add_block(state, bytes.data() + at);
  std::string tail(bytes.substr(at));
  tail += '\x80';
  tail.resize(tail.size() <= 56 ? 56 : 120, '\0');
  const uint64_t bits = uint64_t{bytes.size()} * 8;
  tail.append(reinterpret_cast<const char*>(&bits), 8);
  for (size_t i = 0; i < tail.size(); i += 64) add_block(state, tail.data() + i);
  std::string digits;
  for (const uint32_t word : state) digits += fmt::format("{:08x}", __builtin_bswap32(word));
  return digits;
}

}  // namespace automodel::data
