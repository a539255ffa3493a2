#include "automodel/base/random.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <set>
#include <vector>

namespace automodel {
namespace {

// The known answers of Random123 (Salmon et al. 2011, kat_vectors) for philox4x32-10.
TEST(Philox, EqualsTheKnownAnswersOfRandom123) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, ones, ones), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, TakesKeyAndCounterWhole) {
  const RandomKey key{7};
  const auto k0 = static_cast<uint32_t>(key.value()), k1 = static_cast<uint32_t>(key.value() >> 32);
  EXPECT_EQ(philox(key, 0x123456789abcdef0), philox4x32({0x9abcdef0, 0x12345678, 0, 0}, k0, k1));
}

TEST(RandomKey, DependsOnEveryWordAndTheirOrder) {
  std::set<uint64_t> seen;
  for (uint64_t a = 0; a < 40; ++a)
    for (uint64_t b = 0; b < 40; ++b) seen.insert(RandomKey{a, b}.value());
  EXPECT_EQ(seen.size(), 1600u);
  EXPECT_EQ((RandomKey{1, 2}.value()), RandomKey{1}.with(2).value());
  EXPECT_NE((RandomKey{0}.value()), (RandomKey{0, 0}.value()));
}

TEST(Uniform, LiesInTheUnitIntervalEvenly) {
  const int n = 100000, bins = 20;
  std::vector<int> count(bins);
  double sum = 0;
  for (int i = 0; i < n; ++i) {
    const double u = uniform(RandomKey{3}, static_cast<uint64_t>(i));
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    ++count[static_cast<size_t>(u * bins)];
    sum += u;
  }
  EXPECT_NEAR(sum / n, 0.5, 5 * std::sqrt(1.0 / 12 / n));
  double chi = 0;
  for (const int c : count) chi += (c - n / bins) * (c - n / bins) / static_cast<double>(n / bins);
  EXPECT_LT(chi, 50);  // 19 degrees of freedom: one in ten thousand
}

TEST(Permutation, VisitsEveryPlaceOnceForEverySize) {
  for (uint64_t size = 0; size <= 300; ++size) {
    const Permutation permutation(size, RandomKey{size, 1});
    std::vector<bool> seen(size);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t place = permutation(i);
      ASSERT_LT(place, size);
      ASSERT_FALSE(seen[place]) << size;
      seen[place] = true;
    }
  }
}

TEST(Permutation, KeepsLargeSizesInsideAndApart) {
  EXPECT_TRUE(rc::check([] {
    const auto size = *rc::gen::inRange<uint64_t>(1, uint64_t{1} << 40);
    const Permutation permutation(size, RandomKey{*rc::gen::arbitrary<uint64_t>()});
    const auto a = *rc::gen::inRange<uint64_t>(0, size), b = *rc::gen::inRange<uint64_t>(0, size);
    RC_ASSERT(permutation(a) < size);
    RC_ASSERT((a == b) == (permutation(a) == permutation(b)));
  }));
}

TEST(Permutation, SpreadsNeighbours) {  // the first place goes everywhere, whatever the key's neighbour does
  const uint64_t size = 64;
  std::vector<int> count(size);
  for (uint64_t seed = 0; seed < 6400; ++seed) ++count[Permutation(size, RandomKey{seed})(0)];
  for (const int c : count) EXPECT_NEAR(c, 100, 50);
}

}  // namespace
}  // namespace automodel
