// What the tests of the loader share: samples that tell from which row and place each token came, and loaders of them.
#pragma once

#include <rapidcheck.h>

#include "automodel/base/error.h"
#include "automodel/data/loader.h"
#include "automodel/data/mock.h"

namespace automodel::data {

/// Samples of rows whose index is all there is to know, of uneven length; row 13 k can be made bad, row 7 k untrained.
class CountingBuilder : public SampleBuilder {
 public:
  int64_t longest = 40;
  bool faults = false;
  Sample build(const Row& row) const override {
    if (faults && row.index % 13 == 12) throw DataError(row.where, "is bad");
    const auto tokens = static_cast<int32_t>(1 + philox(RandomKey{5}, static_cast<uint64_t>(row.index))[0] % longest);
    Sample sample;
    for (int32_t t = 0; t < tokens; ++t) sample.ids.push_back(static_cast<int32_t>(row.index) * 1000 + t);
    sample.labels.assign(sample.ids.begin(), sample.ids.end());
    for (auto& label : sample.labels)
      label = label % 3 == 0 || (faults && row.index % 7 == 6) ? kNotTrained : label + 1;
    if (!(faults && row.index % 7 == 6)) sample.labels.front() = 1;
    return sample;
  }
};

inline std::unique_ptr<Loader> make_loader(int64_t rows, LoaderOptions options, bool faults = false,
                                           int64_t longest = 40) {
  auto builder = std::make_shared<CountingBuilder>();
  builder->faults = faults;
  builder->longest = longest;
  return std::make_unique<Loader>(mock_rows(rows), builder, options);
}

using Ids = std::vector<int64_t>;
inline Ids ids_of(const Batch& batch) {
  const auto* data = batch.ids.const_data_ptr<int64_t>();
  Ids ids(data, data + batch.tokens());
  ids.insert(ids.end(), batch.cu_seqlens.begin(), batch.cu_seqlens.end());
  return ids;
}

inline std::vector<Ids> take(Loader& loader, int64_t calls) {  // an epoch's end is an empty entry
  std::vector<Ids> taken;
  for (int64_t i = 0; i < calls; ++i) {
    const auto batch = loader.next();
    taken.push_back(batch ? ids_of(*batch) : Ids{});
  }
  return taken;
}

inline LoaderOptions any_options() {
  LoaderOptions options;
  options.read.shuffle = *rc::gen::arbitrary<bool>();
  options.read.seed = *rc::gen::inRange<uint64_t>(0, 5);
  options.read.max_tokens = *rc::gen::element<int64_t>(0, 15);
  options.read.over_long = *rc::gen::element(OverLong::Truncate, OverLong::Split, OverLong::Drop);
  options.read.bad_rows = options.read.untrained_rows = OnFault::Skip;
  options.pack.local_batch_size = *rc::gen::inRange<int64_t>(1, 4);
  options.pack.packed_sequence_size = *rc::gen::element<int64_t>(0, 32, 64);
  options.pack.packing = *rc::gen::element(Packing::Sequential, Packing::FirstFit, Packing::BestFit);
  options.pack.window = *rc::gen::inRange<int64_t>(1, 9);
  options.pack.max_packs = *rc::gen::weightedElement<int64_t>({{3, 0}, {1, 5}});
  options.threads = *rc::gen::inRange<int64_t>(1, 4);
  options.read_ahead = *rc::gen::inRange<int64_t>(1, 9);
  options.prefetch = *rc::gen::inRange<int64_t>(1, 4);
  return options;
}

}  // namespace automodel::data
