// Mixtures, rows that repeat, and the cache of tokens.
#include "automodel/data/mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/data/loader.h"
#include "automodel/data/mock.h"
#include "automodel/data/token_cache.h"

namespace automodel::data {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

Mixture mixture(const std::vector<int64_t>& sizes, const std::vector<double>& weights = {},
                const std::vector<double>& epochs = {}) {
  std::vector<MixtureSource> sources;
  for (size_t i = 0; i < sizes.size(); ++i) {
    sources.push_back({"source " + std::to_string(i), mock_rows(sizes[i])});
    if (!weights.empty()) sources[i].weight = weights[i];
    if (!epochs.empty()) sources[i].epochs = epochs[i];
  }
  return Mixture(std::move(sources));
}

TEST(Mixture, SharesFollowEpochsOrWeights) {
  using Counts = std::vector<int64_t>;
  EXPECT_EQ(mixture({10, 4}).rows_of_epoch(), (Counts{10, 4}));
  EXPECT_EQ(mixture({10, 4}, {}, {0.5, 3}).rows_of_epoch(), (Counts{5, 12}));
  EXPECT_EQ(mixture({1000, 100}, {3, 1}).rows_of_epoch(), (Counts{300, 100}));          // the second is used up
  EXPECT_EQ(mixture({1000, 100}, {3, 1}, {1, 2}).rows_of_epoch(), (Counts{600, 200}));  // and may be read twice
  EXPECT_EQ(mixture({90, 1000}, {0.9, 0.1}).rows_of_epoch(), (Counts{90, 10}));
  EXPECT_THAT(message_of([] { mixture({5, 0}); }), HasSubstr("source 1: has no rows"));
  EXPECT_THAT(message_of([] { mixture({5, 5}, {1, 0}); }), HasSubstr("weight of source 1 is 0"));
  EXPECT_THAT(message_of([] { mixture({5, 1}, {1, 1e6}); }), HasSubstr("source 0 would give no row of its 5"));
  EXPECT_THAT(message_of([] { mixture({5, 5}, {}, {1, 0.01}); }), HasSubstr("source 1 would give no row"));
}

TEST(Mixture, EpochsReadEachSourceEquallyOften) {
  rc::check("shares hold in every epoch, and over many epochs rows are read equally often", [] {
    const auto sizes = *rc::gen::container<std::vector<int64_t>>(3, rc::gen::inRange<int64_t>(1, 40));
    const auto halves = *rc::gen::container<std::vector<int64_t>>(3, rc::gen::inRange<int64_t>(2, 7));
    std::vector<double> epochs;
    for (const auto half : halves) epochs.push_back(static_cast<double>(half) / 2);
    auto mixed = mixture(sizes, {}, epochs);
    const RowOrder order{*rc::gen::arbitrary<bool>(), *rc::gen::inRange<uint64_t>(0, 9)};
    std::map<int64_t, int64_t> reads;
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      std::vector<int64_t> counts(3);
      for (int64_t p = 0; p < mixed.size(); ++p) {
        const int64_t index = mixed.index_at(epoch, p, order);
        ++reads[index];
        ++counts[static_cast<size_t>(mixed.source_of(index))];
        RC_ASSERT(mixed.at(index).source == mixed.source_of(index));
      }
      RC_ASSERT(counts == mixed.rows_of_epoch());
    }
    int64_t first = 0;
    for (size_t i = 0; i < 3; ++i) {
      const int64_t all = 4 * mixed.rows_of_epoch()[i];
      for (int64_t row = 0; row < sizes[i]; ++row) {
        RC_ASSERT(reads[first + row] >= all / sizes[i]);
        RC_ASSERT(reads[first + row] <= (all + sizes[i] - 1) / sizes[i]);
      }
      first += sizes[i];
    }
  });
}

TEST(Mixture, WithoutShufflingTheSourcesAlternateEvenly) {
  auto mixed = mixture({60, 30, 10});
  for (int64_t begin = 0; begin < 100; begin += 10) {
    std::vector<int64_t> counts(3);
    for (int64_t p = begin; p < begin + 10; ++p)
      ++counts[static_cast<size_t>(mixed.source_of(mixed.index_at(0, p, {})))];
    EXPECT_NEAR(static_cast<double>(counts[0]), 6, 1);
    EXPECT_NEAR(static_cast<double>(counts[1]), 3, 1);
    EXPECT_NEAR(static_cast<double>(counts[2]), 1, 1);
  }
  std::vector<int64_t> first;
  for (int64_t p = 0; p < 100; ++p)
    if (const int64_t index = mixed.index_at(0, p, {}); index < 60) first.push_back(index);
  EXPECT_TRUE(std::is_sorted(first.begin(), first.end()));  // each source in its own order
}

TEST(Mixture, AnEpochOfATrillionRowsIsReachedAtOnce) {
  auto mixed = mixture({int64_t{1} << 40, int64_t{1} << 38}, {3, 1});
  const int64_t index = mixed.index_at(1000, mixed.size() - 1, {true, 42});
  EXPECT_GE(index, 0);
  EXPECT_LT(index, (int64_t{1} << 40) + (int64_t{1} << 38));
}

/// Every row a document of as many tokens as its index says; source 1's rows 3 k are bad.
class PartBuilder : public SampleBuilder {
 public:
  Sample build(const Row& row) const override {
    if (row.source == 1 && row.index % 3 == 0) throw DataError(row.where, "is bad");
    Sample sample;
    sample.ids.assign(static_cast<size_t>(1 + row.index % 7), static_cast<int32_t>(row.source * 1000 + row.index));
    sample.labels = sample.ids;
    return sample;
  }
};

std::vector<std::vector<int64_t>> read_all(Loader& loader, int64_t batches) {
  std::vector<std::vector<int64_t>> all;
  for (int64_t i = 0; i < batches; ++i) {
    const auto batch = loader.next();
    if (!batch) {
      all.emplace_back();
      continue;
    }
    const auto* ids = batch->ids.const_data_ptr<int64_t>();
    all.emplace_back(ids, ids + batch->tokens());
  }
  return all;
}

LoaderOptions mixed_options(int64_t threads) {
  LoaderOptions options;
  options.pack = {.local_batch_size = 2, .packed_sequence_size = 16, .packing = Packing::FirstFit, .window = 5};
  options.threads = threads;
  options.read.sources = {{"a"}, {"b", OnFault::Skip, OnFault::Stop}};
  return options;
}

TEST(Mixture, TheLoaderCountsEverySourceAndResumesExactly) {
  const auto make = [](int64_t threads) {
    return std::make_unique<Loader>(std::make_shared<Mixture>(mixture({20, 9}, {}, {1, 2})),
                                    std::make_shared<PartBuilder>(), mixed_options(threads));
  };
  const auto whole = make(1), threaded = make(3), before = make(2), after = make(1);
  const auto all = read_all(*whole, 30);
  EXPECT_EQ(read_all(*threaded, 30), all);  // the number of threads changes nothing
  auto parts = read_all(*before, 11);
  after->restore(before->state());
  for (auto& batch : read_all(*after, 19)) parts.push_back(std::move(batch));
  EXPECT_EQ(parts, all);
  EXPECT_EQ(after->statistics(), whole->statistics());

  const auto& counts = whole->statistics();
  ASSERT_EQ(counts.sources.size(), 2u);
  EXPECT_EQ(counts.sources[0].tokens_out + counts.sources[1].tokens_out, counts.tokens_out);
  EXPECT_EQ(counts.sources[0].trained_tokens + counts.sources[1].trained_tokens, counts.trained_tokens);
  EXPECT_EQ(counts.sources[0].rows + counts.sources[1].rows, counts.rows);
  EXPECT_GT(counts.bad_rows, 0);
  EXPECT_EQ(Statistics::from_json(counts.to_json()), counts);
  EXPECT_THAT(whole->summary(), HasSubstr("; b: "));
}

TEST(Repeated, RowsBeginAgainInAnotherOrder) {
  const auto rows = repeat_rows(mock_rows(5));
  EXPECT_TRUE(rows->endless());
  EXPECT_TRUE(rows->has(1'000'000'000'000));
  std::vector<int64_t> plain, first, second;
  for (int64_t p = 0; p < 10; ++p) plain.push_back(rows->index_at(0, p, {}));
  EXPECT_THAT(plain, testing::ElementsAre(0, 1, 2, 3, 4, 0, 1, 2, 3, 4));
  for (int64_t p = 0; p < 5; ++p) first.push_back(rows->index_at(0, p, {true, 1}));
  for (int64_t p = 5; p < 10; ++p) second.push_back(rows->index_at(0, p, {true, 1}));
  EXPECT_NE(first, second);
  EXPECT_EQ(std::set<int64_t>(second.begin(), second.end()).size(), 5u);
}

class CountedBuilder : public PartBuilder {
 public:
  mutable std::atomic<int> built = 0;
  Sample build(const Row& row) const override {
    ++built;
    return PartBuilder::build(row);
  }
};

TEST(TokenCache, GivesTheSameBatchesWithoutTokenizingAgain) {
  const TemporaryFolder folder;
  const auto run = [&](bool cached, int& built) {
    auto builder = std::make_shared<CountedBuilder>();
    LoaderOptions options = mixed_options(2);
    options.read.sources.clear();
    options.epochs = 1;
    if (cached) options.read.cache = std::make_shared<TokenCache>(folder.path(), "key");
    Loader loader(mock_rows(500), builder, options);
    auto all = read_all(loader, 400);
    built = builder->built;
    return all;
  };
  int plain = 0, first = 0, second = 0;
  const auto expected = run(false, plain);
  EXPECT_EQ(run(true, first), expected);
  EXPECT_EQ(run(true, second), expected);
  EXPECT_EQ(plain, 500);
  EXPECT_EQ(first, 500);
  EXPECT_EQ(second, 0);
}

Sample sample_of(int64_t index) {
  Sample sample;
  for (int64_t t = 0; t < 1 + index % 50; ++t) sample.ids.push_back(static_cast<int32_t>(index + t));
  sample.labels.assign(sample.ids.size(), kNotTrained);
  sample.labels.back() = 1;
  return sample;
}

TEST(TokenCache, TwoWritersShareAFolderAndDamageIsNoticed) {
  const TemporaryFolder folder;
  {
    TokenCache one(folder.path(), "k"), two(folder.path(), "k");
    std::thread writer([&] {
      for (int64_t i = 0; i < 3000; ++i) one.add(i, sample_of(i));
    });
    for (int64_t i = 2000; i < 5000; ++i) two.add(i, sample_of(i));
    writer.join();
  }
  {
    TokenCache cache(folder.path(), "k");
    for (int64_t i = 0; i < 5000; ++i) {
      const auto found = cache.find(i);
      ASSERT_TRUE(found) << i;
      EXPECT_EQ(found->ids, sample_of(i).ids);
      EXPECT_EQ(found->labels, sample_of(i).labels);
    }
    EXPECT_FALSE(cache.find(5000));
  }
  std::vector<fs::path> segments;
  for (const auto& file : fs::directory_iterator(folder.path() / "k")) segments.push_back(file.path());
  ASSERT_EQ(segments.size(), 2u);
  const auto change = [&](const fs::path& path, int64_t from_end) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-from_end, std::ios::end);
    file.put('\x7f');
  };
  change(segments[0], 5);                                                      // a sample
  change(segments[1], static_cast<int64_t>(fs::file_size(segments[1])) - 50);  // the table
  TokenCache cache(folder.path(), "k");
  int64_t found = 0;
  for (int64_t i = 0; i < 5000; ++i)
    if (const auto sample = cache.find(i)) {
      EXPECT_EQ(sample->ids, sample_of(i).ids);
      ++found;
    }
  EXPECT_LT(found, 3000);
  EXPECT_FALSE(fs::exists(segments[0]));
  EXPECT_FALSE(fs::exists(segments[1]));
  std::ofstream(folder.path() / "k/short.tokens") << "x";
  EXPECT_FALSE(TokenCache(folder.path(), "k").find(1));
}

TEST(Mock, SentencesHaveTheirShape) {
  const SentenceOptions options{.vocab_size = 50, .mean_len = 12, .std_len = 3, .max_sentence_len = 20, .seed = 3};
  double mean = 0;
  for (int64_t i = 0; i < 500; ++i) {
    const Row row{Json::object(), "mock", i};
    const Sample sentence = SentenceBuilder(options).build(row);
    EXPECT_EQ(sentence.ids.back(), 1);
    EXPECT_LE(sentence.tokens(), 21);
    for (size_t t = 0; t + 1 < sentence.ids.size(); ++t) EXPECT_EQ(sentence.labels[t], sentence.ids[t + 1]);
    for (const int32_t id : sentence.ids) EXPECT_TRUE(id >= 1 && id < 50);
    EXPECT_EQ(SentenceBuilder(options).build(row).ids, sentence.ids);
    mean += static_cast<double>(sentence.tokens() - 1) / 500;
  }
  EXPECT_NEAR(mean, 11.5, 1);  // whole words of a normal distribution
}

}  // namespace
}  // namespace automodel::data
