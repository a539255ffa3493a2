#include "automodel/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "automodel/data/counting_loader_test.h"

namespace automodel::data {
namespace {
using testing::HasSubstr;

/// Rows that come from `first_late` on only when open() was called; they come by themselves after a minute, so that a
/// test that fails also ends.
class LateBuilder : public CountingBuilder {
 public:
  explicit LateBuilder(int64_t first_late) : first_late_(first_late) {}
  Sample build(const Row& row) const override {
    std::unique_lock lock(mutex_);
    if (row.index >= first_late_ && !opened_.wait_for(lock, std::chrono::minutes(1), [&] { return open_; }))
      open_ = gave_up_ = true;
    lock.unlock();
    return CountingBuilder::build(row);
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  bool gave_up() const {
    std::lock_guard lock(mutex_);
    return gave_up_;
  }

 private:
  int64_t first_late_;
  mutable std::mutex mutex_;
  mutable std::condition_variable opened_;
  mutable bool open_ = false, gave_up_ = false;
};

TEST(Loader, ResumesExactlyFromAnyPlace) {
  rc::check("first n calls, save, new loader, restore: the rest is the same", [] {
    const auto options = any_options();
    const auto rows = *rc::gen::inRange<int64_t>(5, 40), before = *rc::gen::inRange<int64_t>(0, 30);
    const auto whole = make_loader(rows, options, true);
    take(*whole, before);
    const std::string saved = whole->state().dump();
    const auto expected = take(*whole, 30);
    auto other = options;
    other.threads = 1 + options.threads % 3;
    const auto resumed = make_loader(rows, other, true);
    if (*rc::gen::arbitrary<bool>()) take(*resumed, 3);  // also a loader that has run already
    resumed->restore(Json::parse(saved));
    RC_ASSERT(resumed->state().dump() == saved);
    RC_ASSERT(take(*resumed, 30) == expected);
    RC_ASSERT(resumed->statistics() == whole->statistics());
  });
}

TEST(Loader, TheOrderDoesNotDependOnThreadsOrReadAhead) {
  rc::check("same batches", [] {
    auto options = any_options();
    const auto one = take(*make_loader(30, options, true), 20);
    options.threads = 4, options.read_ahead = 13, options.prefetch = 7;
    RC_ASSERT(take(*make_loader(30, options, true), 20) == one);
  });
}

// A row that is reached without reading those before it, however far it lies.
TEST(Loader, ResumesInTheMiddleOfATrillionRowsAtOnce) {
  LoaderOptions options;
  options.rank = 3, options.ranks = 8;
  const auto rows = int64_t{1} << 40;
  Loader loader(mock_rows(rows), std::make_shared<MockBuilder>(8, 10, 1), options);
  Json state = loader.state();
  state["position"] = rows / 2;
  loader.restore(state);
  ASSERT_TRUE(loader.next());
  EXPECT_EQ(loader.state()["position"], rows / 2 + 8);
}

TEST(Loader, EveryTokenIsHandedOutOrCounted) {
  rc::check("tokens in = out + truncated + dropped at each epoch's end; skipped rows counted", [] {
    const auto options = any_options();
    const auto loader = make_loader(60, options, true);
    std::multiset<int64_t> seen;
    while (const auto batch = loader->next()) {
      const Ids ids = ids_of(*batch);
      seen.insert(ids.begin(), ids.begin() + batch->tokens());
      RC_ASSERT(batch->documents() >= 1);
    }
    const Statistics& counts = loader->statistics();
    RC_ASSERT(counts.tokens_in == counts.tokens_out + counts.truncated_tokens + counts.dropped_tokens);
    RC_ASSERT(counts.tokens_out == static_cast<int64_t>(seen.size()));
    RC_ASSERT(std::set<int64_t>(seen.begin(), seen.end()).size() == seen.size());
    if (options.pack.max_packs == 0) RC_ASSERT(counts.rows == 60 && counts.bad_rows == 4 && counts.untrained_rows == 8);
    RC_ASSERT(loader->epoch() == 1);
  });
}

TEST(Loader, EachEpochHasItsOwnOrderOfTheSameRows) {
  LoaderOptions options;
  const auto loader = make_loader(50, options);
  const auto first = take(*loader, 51), second = take(*loader, 51);
  EXPECT_EQ(first.back(), Ids{});
  EXPECT_EQ(second.back(), Ids{});
  EXPECT_NE(first, second);
  EXPECT_EQ(std::multiset<Ids>(first.begin(), first.end()), std::multiset<Ids>(second.begin(), second.end()));
  options.read.shuffle = false;
  const auto plain = take(*make_loader(50, options), 50);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(plain[i].front(), static_cast<int64_t>(i) * 1000);
}

TEST(Loader, WithoutPackingAMicrobatchIsSamplesEndToEnd) {
  LoaderOptions options;
  options.read.shuffle = false;
  options.pack.local_batch_size = 4;
  const auto loader = make_loader(10, options);
  EXPECT_EQ(loader->microbatches_per_epoch(), 3);
  EXPECT_EQ(loader->count_microbatches(), 3);
  auto batch = loader->next();
  EXPECT_EQ(batch->documents(), 4);
  batch = loader->next();
  EXPECT_EQ(loader->next()->documents(), 2);
  EXPECT_TRUE(loader->at_epoch_end());
}

// What stands in one row reaches no other document: neither its tokens, its targets nor its place in the packs.
TEST(Loader, AnotherTextInOneRowChangesNoOtherDocument) {
  struct Changed : CountingBuilder {
    int64_t row = -1;
    Sample build(const Row& read) const override {
      Sample sample = CountingBuilder::build(read);
      if (read.index != row) return sample;
      for (auto& id : sample.ids) id += 500;
      for (auto& label : sample.labels) label += label == kNotTrained ? 0 : 500;
      return sample;
    }
  };
  rc::check("documents of two loaders that differ in one row differ in that document alone", [] {
    auto options = any_options();
    options.read.max_tokens = 0;
    auto changed = std::make_shared<Changed>();
    changed->row = *rc::gen::inRange<int64_t>(0, 30);
    Loader one(mock_rows(30), std::make_shared<Changed>(), options), other(mock_rows(30), changed, options);
    for (int i = 0; i < 6; ++i) {
      const auto a = one.next(), b = other.next();
      RC_ASSERT(a.has_value() == b.has_value());
      if (!a) continue;
      RC_ASSERT(a->cu_seqlens == b->cu_seqlens);
      const auto* ids = a->ids.const_data_ptr<int64_t>();
      const auto* labels = a->labels.const_data_ptr<int64_t>();
      for (size_t document = 0; document + 1 < a->cu_seqlens.size(); ++document) {
        const auto begin = a->cu_seqlens[document], end = a->cu_seqlens[document + 1];
        const bool same = ids[begin] / 1000 != changed->row;
        RC_ASSERT(std::equal(ids + begin, ids + end, b->ids.const_data_ptr<int64_t>() + begin) == same);
        RC_ASSERT(!same || std::equal(labels + begin, labels + end, b->labels.const_data_ptr<int64_t>() + begin));
      }
    }
  });
}

TEST(Loader, GroupsEndWithTheEpoch) {
  LoaderOptions options;
  options.pack.local_batch_size = 2;
  const auto loader = make_loader(11, options);  // 6 microbatches
  std::vector<size_t> sizes;
  for (int i = 0; i < 7; ++i) sizes.push_back(loader->next_group(4).size());
  EXPECT_THAT(sizes, testing::ElementsAre(4, 2, 0, 4, 2, 0, 4));
}

TEST(Loader, StepsBackToWhereAGroupBegan) {
  LoaderOptions options;
  options.pack.local_batch_size = 2;
  options.pack.packed_sequence_size = 64;
  const auto loader = make_loader(40, options);
  const auto first = loader->next_group(3);
  const Json state = loader->state();
  const auto ids = [](const std::vector<Batch>& group) {
    std::vector<Ids> all;
    for (const auto& batch : group) all.push_back(ids_of(batch));
    return all;
  };
  const auto second = ids(loader->next_group(3));
  EXPECT_NE(loader->state(), state);
  loader->step_back();
  EXPECT_EQ(loader->state(), state);
  EXPECT_EQ(ids(loader->next_group(3)), second);
  EXPECT_NE(second, ids(first));
}

TEST(Loader, CountsTheMicrobatchesOfEveryEpoch) {
  LoaderOptions options;
  options.pack.packed_sequence_size = 64;
  const auto loader = make_loader(200, options), other = make_loader(200, options);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    int64_t count = 0;
    while (loader->next()) ++count;
    EXPECT_EQ(other->count_microbatches(epoch), count) << epoch;
  }
}

TEST(Loader, AValidationSetIsOneEpochThatCanBeRunAgain) {
  LoaderOptions options;
  options.epochs = 1;
  const auto loader = make_loader(5, options);
  const auto first = take(*loader, 8);
  EXPECT_EQ(first[5], Ids{});
  EXPECT_EQ(first[7], Ids{});
  EXPECT_TRUE(loader->at_epoch_end());
  loader->rewind();
  EXPECT_EQ(take(*loader, 8), first);
}

TEST(Loader, AFaultComesOutOfNextAtItsPlaceAndStays) {
  LoaderOptions options;
  options.read.shuffle = false;
  options.read.untrained_rows = OnFault::Skip;
  options.threads = 3;
  const auto loader = make_loader(40, options, true);
  take(*loader, 11);  // rows 0 to 11, of which row 6 is skipped
  for (int i = 0; i < 2; ++i) {
    try {
      loader->next();
      FAIL() << "nothing was thrown";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("mock:12: is bad\n  hint: "));
      EXPECT_THAT(error.what(), HasSubstr("dataset.skip_invalid_samples: true"));
    }
  }
  options.read.untrained_rows = OnFault::Stop;
  options.read.bad_rows = OnFault::Skip;
  const auto untrained = make_loader(40, options, true);
  take(*untrained, 6);
  try {
    untrained->next();
    FAIL() << "nothing was thrown";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("mock:6: the sample has no trained tokens"));
  }
}

TEST(Loader, IdsOutsideTheVocabularyAreAFault) {
  LoaderOptions options;
  options.read.shuffle = false;
  options.read.vocab_size = 2000;
  const auto loader = make_loader(40, options);
  take(*loader, 2);
  EXPECT_THROW(loader->next(), DataError);
}

TEST(Loader, ASampleThatIsTooLongIsAFaultWhereThatIsAsked) {
  LoaderOptions options;
  options.read.max_tokens = 8;
  options.read.over_long = parse_over_long("error");
  const auto eight = std::make_shared<MockBuilder>(8, 10, 1), nine = std::make_shared<MockBuilder>(9, 10, 1);
  EXPECT_TRUE(Loader(mock_rows(5), eight, options).next());
  try {
    Loader(mock_rows(5), nine, options).next();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("9 tokens, more than the 8 that fit"));
  }
}

TEST(Loader, AnEpochThatYieldsNothingIsAnError) {
  EXPECT_THROW(make_loader(0, {})->next(), DataError);
  LoaderOptions options;
  options.read.max_tokens = 1;
  options.read.over_long = OverLong::Drop;
  const auto builder = std::make_shared<MockBuilder>(8, 10, 1);
  EXPECT_THROW(Loader(mock_rows(5), builder, options).next(), DataError);
}

TEST(Loader, AStateOfOtherDataOrOptionsIsRefused) {
  LoaderOptions options;
  const Json state = make_loader(20, options)->state();
  const auto refuses = [&](int64_t rows, LoaderOptions now, const char* what) {
    try {
      make_loader(rows, now)->restore(state);
      ADD_FAILURE() << "nothing was thrown for " << what;
    } catch (const CheckpointError& error) {
      EXPECT_THAT(error.what(), HasSubstr(what));
    }
  };
  refuses(21, options, "rows = 20, but is now 21");
  options.read.seed = 43;
  refuses(20, options, "seed");
  options = {};
  options.pack.packed_sequence_size = 64;
  refuses(20, options, "packed_sequence_size");
  options = {};
  options.pack.window = 8;
  refuses(20, options, "window = 256, but is now 8");
  EXPECT_THROW(make_loader(20, {})->restore(Json::object()), CheckpointError);
}

TEST(Loader, AnEstimateComesNearTheCount) {
  LoaderOptions options;
  options.pack.packed_sequence_size = 256;
  const auto loader = make_loader(3000, options);
  const auto estimate = loader->estimate_epoch(300);
  const auto count = static_cast<double>(loader->count_microbatches());
  EXPECT_NEAR(static_cast<double>(estimate.microbatches), count, 0.1 * count);
  EXPECT_EQ(loader->microbatches_per_epoch(), std::nullopt);
}

TEST(Mock, RandomIdsAreAFunctionOfSeedAndRow) {
  const MockBuilder builder(100, 50, 3);
  const Sample sample = builder.build({Json::object(), "", 4});
  EXPECT_EQ(sample.ids, builder.build({Json::object(), "", 4}).ids);
  EXPECT_NE(sample.ids, builder.build({Json::object(), "", 5}).ids);
  EXPECT_EQ(sample.tokens(), 100);
  EXPECT_EQ(sample.labels.back(), kNotTrained);
  for (size_t t = 0; t + 1 < sample.ids.size(); ++t) EXPECT_EQ(sample.labels[t], sample.ids[t + 1]);
  for (const int32_t id : sample.ids) EXPECT_TRUE(id >= 0 && id < 50);
}

// A row that a batch needs is not kept back for those behind it, which may be a download away.
TEST(Loader, HandsOnWhatIsThereThoughNoMoreComes) {
  for (const int64_t late : {1, 2, 5, 17}) {
    const auto builder = std::make_shared<LateBuilder>(late);
    LoaderOptions options;
    options.read.shuffle = false;
    options.pack.local_batch_size = 1;
    options.threads = 2;
    const auto on_time = make_loader(40, options);
    Loader loader(mock_rows(40), builder, options);
    EXPECT_EQ(take(loader, late), take(*on_time, late));
    EXPECT_FALSE(builder->gave_up()) << "the first " << late << " rows were kept back";
    builder->open();
    EXPECT_EQ(take(loader, 41 - late), take(*on_time, 41 - late));
  }
}

}  // namespace
}  // namespace automodel::data
