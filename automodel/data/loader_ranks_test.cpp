// Loaders of several ranks share out the one order of microbatches, and any number of them goes on with it.
#include <gtest/gtest.h>

#include <set>

#include "automodel/data/counting_loader_test.h"

namespace automodel::data {
namespace {

// What n ranks get, in the order of one process; an epoch's end is an empty entry. Checks that they keep in step.
std::vector<Ids> take_of_all(std::vector<std::unique_ptr<Loader>>& ranks, int64_t calls) {
  std::vector<Ids> taken;
  for (int64_t i = 0; i < calls; ++i) {
    size_t ended = 0;
    bool behind = false;
    for (const auto& loader : ranks) {
      const auto batch = loader->next();
      if (!batch) {
        ++ended;
        continue;
      }
      RC_ASSERT(!behind || batch->documents() == 0);  // once a rank has nothing, those after it have nothing
      behind = batch->documents() == 0;
      if (!behind) taken.push_back(ids_of(*batch));
    }
    RC_ASSERT(ended == 0 || ended == ranks.size());
    if (ended > 0) taken.push_back({});
    for (const auto& loader : ranks) RC_ASSERT(loader->state() == ranks[0]->state());
  }
  return taken;
}

std::vector<std::unique_ptr<Loader>> make_ranks(int64_t count, int64_t rows, LoaderOptions options) {
  std::vector<std::unique_ptr<Loader>> ranks;
  options.ranks = count;
  for (options.rank = 0; options.rank < count; ++options.rank) ranks.push_back(make_loader(rows, options, true));
  return ranks;
}

TEST(Loader, RanksShareOutTheMicrobatchesOfOneProcess) {
  rc::check("rank r of n gets every n-th microbatch from r on, through several epochs", [] {
    const auto options = any_options();
    const auto rows = *rc::gen::inRange<int64_t>(5, 40), count = *rc::gen::inRange<int64_t>(1, 6);
    auto ranks = make_ranks(count, rows, options);
    const auto together = take_of_all(ranks, 12);
    const auto one = make_loader(rows, options, true);
    RC_ASSERT(take(*one, static_cast<int64_t>(together.size())) == together);
    // A global batch: a steps of accumulation on n ranks hold the packs of a * n on one.
    const auto steps = *rc::gen::inRange<int64_t>(1, 4);
    for (auto& loader : ranks) loader->rewind();
    one->rewind();
    std::multiset<Ids> global, expected;
    for (const auto& loader : ranks)
      for (const auto& batch : loader->next_group(steps))
        if (batch.documents() > 0) global.insert(ids_of(batch));
    for (const auto& batch : one->next_group(steps * count)) expected.insert(ids_of(batch));
    RC_ASSERT(global == expected);
  });
}

TEST(Loader, ResumesWithAnotherNumberOfRanks) {
  rc::check("saved by any rank of n, restored on m: the rest is the same", [] {
    const auto options = any_options();
    const auto rows = *rc::gen::inRange<int64_t>(5, 40), before = *rc::gen::inRange<int64_t>(0, 8);
    const auto from = *rc::gen::inRange<int64_t>(1, 5), to = *rc::gen::inRange<int64_t>(1, 5);
    auto ranks = make_ranks(from, rows, options);
    const auto first = take_of_all(ranks, before);
    const std::string saved = ranks.back()->state().dump();
    auto resumed = make_ranks(to, rows, options);
    for (auto& loader : resumed) loader->restore(Json::parse(saved));
    const auto rest = take_of_all(resumed, 8);
    const auto one = make_loader(rows, options, true);
    RC_ASSERT(take(*one, static_cast<int64_t>(first.size())) == first);
    RC_ASSERT(take(*one, static_cast<int64_t>(rest.size())) == rest);
  });
}

}  // namespace
}  // namespace automodel::data
