#include "automodel/checkpoint/convert.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Float8_e5m2.h>
#include <c10/util/Half.h>
#include <fmt/format.h>

#include <cstring>
#include <type_traits>

#include "automodel/base/error.h"

namespace automodel::checkpoint {
namespace {

// The bits of a dtype, and those that are all ones in NaN and Inf. E4M3 has no Inf, and one NaN: all bits but the sign.
template <class T>
struct Bits;
template <>
struct Bits<double> {
  using Type = uint64_t;
  static constexpr Type kSpecial = 0x7FF0000000000000;
};
template <>
struct Bits<float> {
  using Type = uint32_t;
  static constexpr Type kSpecial = 0x7F800000;
};
template <>
struct Bits<c10::Half> {
  using Type = uint16_t;
  static constexpr Type kSpecial = 0x7C00;
};
template <>
struct Bits<c10::BFloat16> {
  using Type = uint16_t;
  static constexpr Type kSpecial = 0x7F80;
};
template <>
struct Bits<c10::Float8_e4m3fn> {
  using Type = uint8_t;
  static constexpr Type kSpecial = 0x7F;
};
template <>
struct Bits<c10::Float8_e5m2> {
  using Type = uint8_t;
  static constexpr Type kSpecial = 0x7C;
};

template <class To, class From>
To cast(From value) {
  if constexpr (std::is_same_v<To, From>)
    return value;
  else if constexpr (std::is_same_v<To, double>)
    return static_cast<double>(static_cast<float>(value));
  else
    return static_cast<To>(static_cast<float>(value));
}

// Fixed length, so that the compiler makes vector code of it.
constexpr int64_t kBlock = 256, kStrip = 64;

template <class From, class To, int64_t kLength = kBlock>
bool convert_span(const std::byte* source, To* target, int64_t count) {
  using Word = typename Bits<From>::Type;
  constexpr Word kSpecial = Bits<From>::kSpecial;
  alignas(64) From block[kLength];
  Word bad = 0;
  for (; count > 0; count -= kLength, source += kLength * sizeof(From), target += target ? kLength : 0) {
    const int64_t size = std::min(count, kLength);
    std::memcpy(static_cast<void*>(block), source, size * sizeof(From));
    alignas(64) Word words[kLength];
    if (size < kLength) std::memset(words, 0, sizeof words);
    std::memcpy(words, block, size * sizeof(From));
    for (int64_t i = 0; i < kLength; ++i) bad |= (words[i] & kSpecial) == kSpecial;
    if (!target) continue;
    if constexpr (std::is_same_v<From, To>) {
      std::memcpy(static_cast<void*>(target), block, size * sizeof(From));
    } else if (size == kLength) {
      for (int64_t i = 0; i < kLength; ++i) target[i] = cast<To>(block[i]);
    } else {
      for (int64_t i = 0; i < size; ++i) target[i] = cast<To>(block[i]);
    }
  }
  return bad == 0;
}

// Reads along the source's rows, a strip of the target's rows at a time: the strip's ends stay in the cache.
template <class From, class To>
bool convert_transposed(const ConvertJob& job, To* target, int64_t begin, int64_t end) {
  bool finite = true;
  To line[kStrip];
  for (int64_t row = begin; row < end; row += kStrip) {
    const int64_t width = std::min(kStrip, end - row);
    for (int64_t column = 0; column < job.columns; ++column) {
      finite &= convert_span<From, To, kStrip>(job.source + (column * job.rows + row) * sizeof(From), line, width);
      for (int64_t i = 0; i < width; ++i) target[(row + i) * job.columns + column] = line[i];
    }
  }
  return finite;
}

template <class From, class To>
bool convert(const ConvertJob& job, int64_t begin, int64_t end) {
  auto* target = static_cast<To*>(job.target);
  if (job.transposed) return convert_transposed<From, To>(job, target, begin, end);
  return convert_span<From, To>(job.source + begin * job.columns * sizeof(From),
                                target ? target + begin * job.columns : nullptr, (end - begin) * job.columns);
}

template <class To>
bool convert_to(const ConvertJob& job, int64_t begin, int64_t end) {
  switch (job.source_dtype) {
    case at::kDouble:
      return convert<double, To>(job, begin, end);
    case at::kFloat:
      return convert<float, To>(job, begin, end);
    case at::kHalf:
      return convert<c10::Half, To>(job, begin, end);
    case at::kBFloat16:
      return convert<c10::BFloat16, To>(job, begin, end);
    case at::kFloat8_e4m3fn:
      return convert<c10::Float8_e4m3fn, To>(job, begin, end);
    case at::kFloat8_e5m2:
      return convert<c10::Float8_e5m2, To>(job, begin, end);
    default:
      break;
  }
  AM_CHECK(false, "no conversion from {}", c10::toString(job.source_dtype));
}

}  // namespace

bool convertible(at::ScalarType source, at::ScalarType target) {
  const bool readable = source == at::kDouble || source == at::kFloat || source == at::kHalf ||
                        source == at::kBFloat16 || source == at::kFloat8_e4m3fn || source == at::kFloat8_e5m2;
  return readable && (target == at::kDouble || target == at::kFloat || target == at::kHalf || target == at::kBFloat16);
}

bool convert_rows(const ConvertJob& job, int64_t begin, int64_t end) {
  switch (job.target_dtype) {
    case at::kDouble:
      return convert_to<double>(job, begin, end);
    case at::kFloat:
      return convert_to<float>(job, begin, end);
    case at::kHalf:
      return convert_to<c10::Half>(job, begin, end);
    case at::kBFloat16:
      return convert_to<c10::BFloat16>(job, begin, end);
    default:
      break;
  }
  AM_CHECK(false, "no conversion to {}", c10::toString(job.target_dtype));
}

}  // namespace automodel::checkpoint
