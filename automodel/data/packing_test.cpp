#include "automodel/data/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <numeric>
#include <random>

#include "automodel/base/error.h"

namespace automodel::data {
namespace {

Sample sample_of(int64_t tokens, bool trained = true) {
  Sample sample;
  sample.ids.resize(static_cast<size_t>(tokens));
  std::iota(sample.ids.begin(), sample.ids.end(), 0);
  sample.labels.assign(sample.ids.size(), kNotTrained);
  if (trained && tokens > 0) sample.labels.back() = 7;
  return sample;
}

std::vector<std::vector<int64_t>> pack_lengths(const std::vector<int64_t>& lengths, int64_t budget, Packing packing,
                                               int64_t window) {
  Packer packer(budget, packing, window);
  std::vector<std::vector<int64_t>> packs;
  const auto drain = [&](bool ended) {
    while (packer.ready(ended)) {
      packs.emplace_back();
      for (const auto& document : packer.take()) packs.back().push_back(document.sample.tokens());
    }
  };
  for (size_t i = 0; i < lengths.size(); ++i) {
    packer.add({sample_of(lengths[i]), static_cast<int64_t>(i), 0});
    drain(false);
  }
  drain(true);
  return packs;
}

TEST(Packer, LaysDocumentsAsItsRuleSays) {
  using Packs = std::vector<std::vector<int64_t>>;
  const std::vector<int64_t> lengths = {5, 6, 2, 3, 4};
  EXPECT_EQ(pack_lengths(lengths, 10, Packing::Sequential, 8), (Packs{{5}, {6, 2}, {3, 4}}));
  EXPECT_EQ(pack_lengths(lengths, 10, Packing::FirstFit, 8), (Packs{{5, 2, 3}, {6, 4}}));
  EXPECT_EQ(pack_lengths(lengths, 10, Packing::BestFit, 8), (Packs{{5, 4}, {6, 3}, {2}}));
  EXPECT_EQ(pack_lengths(lengths, 0, Packing::BestFit, 8), (Packs{{5}, {6}, {2}, {3}, {4}}));
}

TEST(Packer, AWindowIsHowManyDocumentsThereAreToChooseFrom) {
  using Packs = std::vector<std::vector<int64_t>>;
  const std::vector<int64_t> lengths = {6, 5, 5, 4, 3, 2};
  EXPECT_EQ(pack_lengths(lengths, 10, Packing::BestFit, 2), (Packs{{6}, {5, 5}, {4, 3, 2}}));
  EXPECT_EQ(pack_lengths(lengths, 10, Packing::BestFit, 4), (Packs{{6, 4}, {5, 5}, {3, 2}}));
  // A window smaller than a pack does not leave packs empty: documents are waited for until they would fill one.
  EXPECT_EQ(pack_lengths({1, 1, 1, 1, 1, 1, 1, 1}, 4, Packing::FirstFit, 1), (Packs{{1, 1, 1, 1}, {1, 1, 1, 1}}));
}

TEST(Packer, NoTokenIsLostAndNoPackOverfilled) {
  rc::check("tokens in = tokens out, packs <= budget, each document once, the oldest never left behind", [] {
    const auto budget = *rc::gen::inRange<int64_t>(1, 60);
    const auto packing = *rc::gen::element(Packing::Sequential, Packing::FirstFit, Packing::BestFit);
    const auto window = *rc::gen::inRange<int64_t>(1, 12);
    const auto lengths = *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(1, budget + 1));
    Packer packer(budget, packing, window);
    std::map<int64_t, int> seen;
    int64_t out = 0;
    const auto drain = [&](bool ended) {
      while (packer.ready(ended)) {
        const int64_t oldest = packer.pending().front().position;
        int64_t used = 0;
        const auto pack = packer.take();
        for (const auto& document : pack) used += document.sample.tokens(), ++seen[document.position];
        RC_ASSERT(used <= budget);
        RC_ASSERT(pack.front().position == oldest);
        out += used;
      }
    };
    int64_t in = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      packer.add({sample_of(lengths[i]), static_cast<int64_t>(i), 0});
      in += lengths[i];
      drain(false);
      RC_ASSERT(in == out + packer.pending_tokens());
      RC_ASSERT(static_cast<int64_t>(packer.pending().size()) <= std::max<int64_t>(window, budget));
    }
    drain(true);
    RC_ASSERT(in == out);
    RC_ASSERT(seen.size() == lengths.size());
    for (const auto& [position, times] : seen) RC_ASSERT(times == 1);
  });
}

TEST(Packer, BestFitFillsPacksBetterThanSequential) {
  std::mt19937 random(1);
  std::lognormal_distribution<double> length(6, 0.8);  // chats: median 400 tokens, long tail
  std::vector<int64_t> lengths;
  for (int i = 0; i < 5000; ++i) lengths.push_back(std::clamp<int64_t>(static_cast<int64_t>(length(random)), 20, 4096));
  const auto efficiency = [&](Packing packing) {
    const auto packs = pack_lengths(lengths, 4096, packing, 256);
    return static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0})) /
           (4096.0 * static_cast<double>(packs.size()));
  };
  EXPECT_GT(efficiency(Packing::BestFit), 0.99);
  EXPECT_GT(efficiency(Packing::FirstFit), 0.97);
  EXPECT_LT(efficiency(Packing::Sequential), 0.95);
}

TEST(Fit, EveryTokenIsKeptOrCounted) {
  rc::check("tokens = tokens of documents + truncated + dropped", [] {
    const auto limit = *rc::gen::inRange<int64_t>(0, 20);
    const auto over_long = *rc::gen::element(OverLong::Truncate, OverLong::Split, OverLong::Drop);
    Sample sample = sample_of(*rc::gen::inRange<int64_t>(1, 100), false);
    for (auto& label : sample.labels) label = *rc::gen::element(kNotTrained, 1);
    Statistics statistics;
    int64_t kept = 0;
    const Sample whole = sample;
    for (const auto& piece : fit(std::move(sample), limit, over_long, statistics)) {
      RC_ASSERT(limit == 0 || piece.tokens() <= limit);
      RC_ASSERT(piece.ids.size() == piece.labels.size());
      if (over_long != OverLong::Split)  // what is kept is the beginning
        RC_ASSERT(std::equal(piece.ids.begin(), piece.ids.end(), whole.ids.begin()) &&
                  std::equal(piece.labels.begin(), piece.labels.end(), whole.labels.begin()));
      kept += piece.tokens();
    }
    RC_ASSERT(whole.tokens() == kept + statistics.truncated_tokens + statistics.dropped_tokens);
    if (over_long == OverLong::Split) RC_ASSERT(statistics.truncated_tokens == 0);
  });
}

TEST(Fit, WhatIsLeftUntrainedByACutIsDroppedAndCounted) {
  Statistics statistics;
  EXPECT_THAT(fit(sample_of(10), 4, OverLong::Truncate, statistics), testing::IsEmpty());
  EXPECT_EQ(statistics.truncated_tokens, 6);
  EXPECT_EQ(statistics.dropped_tokens, 4);
  statistics = {};
  const auto pieces = fit(sample_of(10), 4, OverLong::Split, statistics);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_THAT(pieces[0].ids, testing::ElementsAre(8, 9));
  EXPECT_EQ(statistics.dropped_documents, 2);
}

TEST(Statistics, SurvivesJson) {
  Statistics statistics;
  statistics.rows = 3, statistics.tokens_in = 40, statistics.pack_room = 100, statistics.tokens_out = 40;
  EXPECT_EQ(Statistics::from_json(statistics.to_json()), statistics);
  Json broken = statistics.to_json();
  broken.erase("rows");
  EXPECT_THROW(Statistics::from_json(broken), CheckpointError);
  EXPECT_THAT(statistics.summary(), testing::HasSubstr("packs 40.0 % full"));
}

// Every token that was read is in the line of the run's end: trained on, lost, or waiting.
TEST(Statistics, TheSummaryLeavesNoTokenOut) {
  Statistics statistics;
  statistics.rows = 9, statistics.tokens_in = 700, statistics.tokens_out = 300, statistics.trained_tokens = 200;
  statistics.truncated_samples = 2, statistics.truncated_tokens = 150;
  statistics.dropped_documents = 1, statistics.dropped_tokens = 50;
  statistics.bad_rows = 1, statistics.untrained_rows = 3;
  EXPECT_EQ(statistics.summary(),
            "9 rows, 300 tokens (200 trained), 2 truncated (150 tokens lost), 1 dropped (50 tokens), 200 tokens read "
            "ahead for later packs, 1 bad row left out, 3 rows without trained tokens left out");
}

}  // namespace
}  // namespace automodel::data
