// Inverse frequencies against the published formulas in double precision; angles of packed documents.
#include "automodel/nn/rope.h"

#include <cmath>
#include <set>

#include "automodel/tensor/testing.h"

namespace automodel::nn {
namespace {

using Type = RopeSpec::Type;

double plain(double theta, int64_t dim, int64_t i) {
  return std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
}

void expect_frequencies(const RopeSpec& spec, int64_t length, const std::function<double(int64_t)>& formula) {
  const auto found = rope_inverse_frequencies(spec, length);
  ASSERT_EQ(static_cast<int64_t>(found.size()), spec.dim / 2);
  for (int64_t i = 0; i < spec.dim / 2; ++i) {
    const double expected = formula(i);
    EXPECT_NEAR(found[static_cast<size_t>(i)], expected, 2e-6 * expected) << "frequency " << i << ", length " << length;
  }
}

TEST(RopeFrequencies, OfDefaultAndLinear) {
  for (const int64_t dim : {2, 64, 80, 128})
    for (const double theta : {10000.0, 500000.0, 1e6}) {
      expect_frequencies({.dim = dim, .theta = theta}, 100, [&](int64_t i) { return plain(theta, dim, i); });
      expect_frequencies({.type = Type::Linear, .dim = dim, .theta = theta, .factor = 8}, 100,
                         [&](int64_t i) { return plain(theta, dim, i) / 8; });
    }
}

TEST(RopeFrequencies, OfDynamicGrowTheBaseBeyondTheTrainedLength) {
  const RopeSpec spec{.type = Type::Dynamic, .dim = 64, .factor = 4, .max_positions = 2048};
  for (const int64_t length : {1, 2048})
    expect_frequencies(spec, length, [](int64_t i) { return plain(10000, 64, i); });
  for (const int64_t length : {2049, 5000, 100000}) {
    const double base = 10000 * std::pow(4 * static_cast<double>(length) / 2048 - 3, 64.0 / 62);
    expect_frequencies(spec, length, [&](int64_t i) { return plain(base, 64, i); });
  }
}

TEST(RopeFrequencies, OfLlama3BlendBetweenTheTwoWavelengths) {  // the numbers of Llama 3.1 and of 3.2
  for (const double factor : {8.0, 32.0}) {
    const RopeSpec spec{
        .type = Type::Llama3, .dim = 128, .theta = 500000, .factor = factor, .original_max_positions = 8192};
    int kept = 0, divided = 0, blended = 0;
    expect_frequencies(spec, 1, [&](int64_t i) {
      const double f = plain(500000, 128, i), wavelength = 2 * M_PI / f;
      if (wavelength < 8192 / 4.0) return ++kept, f;
      if (wavelength > 8192 / 1.0) return ++divided, f / factor;
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      return ++blended, (1 - smooth) * f / factor + smooth * f;
    });
    EXPECT_TRUE(kept > 0 && divided > 0 && blended > 0);
  }
}

TEST(RopeFrequencies, OfYarnRampBetweenTheTwoRotations) {
  for (const bool truncate : {true, false}) {
    const RopeSpec spec{.type = Type::Yarn,
                        .dim = 128,
                        .theta = 1e6,
                        .factor = 4,
                        .original_max_positions = 32768,
                        .truncate = truncate};
    const auto dim_of = [](double rotations) {
      return 128 * std::log(32768 / (rotations * 2 * M_PI)) / (2 * std::log(1e6));
    };
    double low = dim_of(32), high = dim_of(1);
    if (truncate) low = std::floor(low), high = std::ceil(high);
    expect_frequencies(spec, 1, [&](int64_t i) {
      const double ramp = std::min(1.0, std::max(0.0, (static_cast<double>(i) - low) / (high - low))),
                   f = plain(1e6, 128, i);
      return f / 4 * ramp + f * (1 - ramp);
    });
  }
}

TEST(RopeFrequencies, OfLongRopeChooseTheirListByLength) {
  RopeSpec spec{.type = Type::LongRope,
                .dim = 8,
                .original_max_positions = 4096,
                .short_factor = {1, 1.5, 2, 2.5},
                .long_factor = {3, 5, 7, 11}};
  for (const int64_t length : {1, 4096})
    expect_frequencies(spec, length,
                       [&](int64_t i) { return plain(10000, 8, i) / spec.short_factor[static_cast<size_t>(i)]; });
  for (const int64_t length : {4097, 9999})
    expect_frequencies(spec, length,
                       [&](int64_t i) { return plain(10000, 8, i) / spec.long_factor[static_cast<size_t>(i)]; });
}

Batch batch_of(const std::vector<size_t>& lengths) {
  std::vector<std::vector<int32_t>> ids;
  for (const size_t length : lengths) ids.emplace_back(length, 1);
  return make_batch(ids).to(test_device());
}

TEST(RopeTable, HoldsTheAnglesOfEachDocumentsPositions) {
  const RopeSpec spec{.dim = 6, .attention_factor = 1.25};
  const auto batch = batch_of({3, 1, 5});
  Context context;
  const auto table = rope_table(spec, batch, context);
  ASSERT_EQ(table.cos.sizes(), at::IntArrayRef({9, 3}));
  for (int64_t t = 0; t < 9; ++t)
    for (int64_t i = 0; i < 3; ++i) {
      const double angle = static_cast<double>(batch.positions[t].item<int64_t>()) * plain(10000, 6, i);
      EXPECT_NEAR(table.cos[t][i].item<float>(), 1.25 * std::cos(angle), 1e-6);
      EXPECT_NEAR(table.sin[t][i].item<float>(), 1.25 * std::sin(angle), 1e-6);
    }
}

TEST(RopeTable, ScalesEachDocumentByItsOwnLength) {
  for (const RopeSpec& spec :
       {RopeSpec{.type = Type::Dynamic, .dim = 4, .factor = 3, .max_positions = 10}, RopeSpec{.type = Type::LongRope,
                                                                                     .dim = 4,
                                                                                     .original_max_positions = 10,
                                                                                     .short_factor = {1, 2},
                                                                                     .long_factor = {3, 4}}}) {
    Context packed, alone_short, alone_long;
    const auto table = rope_table(spec, batch_of({20, 5, 10}), packed);
    const auto of_20 = rope_table(spec, batch_of({20}), alone_long),
               of_5 = rope_table(spec, batch_of({5}), alone_short);
    EXPECT_TRUE(table.sin.narrow(0, 0, 20).equal(of_20.sin));
    EXPECT_TRUE(table.sin.narrow(0, 20, 5).equal(of_5.sin));
    EXPECT_TRUE(table.sin.narrow(0, 25, 5).equal(of_5.sin));
    EXPECT_FALSE(of_20.sin.narrow(0, 0, 5).equal(of_5.sin));
  }
}

TEST(RopeTable, IsSharedByLayersOfTheSameSpecOnly) {
  const auto batch = batch_of({4});
  Context context;
  const auto one = rope_table({.dim = 4}, batch, context), same = rope_table({.dim = 4}, batch, context);
  EXPECT_TRUE(one.cos.is_same(same.cos));
  std::set<std::string> keys;
  const RopeSpec different[] = {{.dim = 4},
                                {.dim = 6},
                                {.dim = 4, .theta = 1e6},
                                {.type = Type::Linear, .dim = 4},
                                {.dim = 4, .factor = 2},
                                {.dim = 4, .max_positions = 1},
                                {.dim = 4, .original_max_positions = 1},
                                {.dim = 4, .low_freq_factor = 2},
                                {.dim = 4, .high_freq_factor = 2},
                                {.dim = 4, .beta_fast = 2},
                                {.dim = 4, .beta_slow = 2},
                                {.dim = 4, .truncate = false},
                                {.dim = 4, .attention_factor = 2},
                                {.dim = 4, .short_factor = {1, 2}},
                                {.dim = 4, .long_factor = {1, 2}}};
  for (const auto& spec : different) keys.insert(spec.key());
  EXPECT_EQ(keys.size(), std::size(different));
}

}  // namespace
}  // namespace automodel::nn
