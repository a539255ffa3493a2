// Labels and batches of Megatron's samples, and a run that goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/data/loader.h"
#include "automodel/data/megatron_dataset.h"

namespace automodel::data {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kFolder = "automodel/data/testdata/megatron/";

std::vector<int64_t> ids_of(const Batch& batch) {
  const auto* ids = batch.ids.const_data_ptr<int64_t>();
  return {ids, ids + batch.tokens()};
}

class Fixed : public TokenWindows {
 public:
  int64_t size() const override { return 1; }
  void read(int64_t, std::vector<int32_t>& tokens) const override { tokens = {5, 9, 6, 7, 9, 8}; }
  std::string order() const override { return ""; }
  std::string place(int64_t) const override { return "fixed"; }
};

TEST(Labels, KnowTheEndsOfDocuments) {
  const Row row{Json::object(), "x", 0};
  const auto samples = std::make_shared<Fixed>();
  EXPECT_EQ(WindowBuilder(samples, {}).build(row).labels, (std::vector<int32_t>{9, 6, 7, 9, 8}));
  const auto masked = WindowBuilder(samples, {.mask_end_of_document = true, .end_of_document = 9}).build(row);
  EXPECT_EQ(masked.labels, (std::vector<int32_t>{9, kNotTrained, 7, 9, kNotTrained}));
  EXPECT_TRUE(masked.starts.empty());
  const auto split = WindowBuilder(samples, {.split_documents = true, .end_of_document = 9}).build(row);
  EXPECT_EQ(split.ids, (std::vector<int32_t>{5, 9, 6, 7, 9}));
  EXPECT_EQ(split.starts, std::vector<int32_t>{2});
  const auto whole = WindowBuilder(samples, {.extra_token = false}).build(row);
  EXPECT_EQ(whole.ids, (std::vector<int32_t>{5, 9, 6, 7, 9, 8}));
  EXPECT_EQ(whole.labels, (std::vector<int32_t>{9, 6, 7, 9, 8, kNotTrained}));
  EXPECT_THAT(message_of([&] { WindowBuilder(samples, {.mask_end_of_document = true}); }), HasSubstr("eos token"));

  LoaderOptions options;
  options.read.shuffle = false;
  options.epochs = 1;
  Loader loader(window_rows(samples),
                std::make_shared<WindowBuilder>(samples, WindowLabels{.split_documents = true, .end_of_document = 9}),
                options);
  const auto batch = loader.next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->cu_seqlens, (std::vector<int64_t>{0, 2, 5}));
  EXPECT_FALSE(loader.next());
}

// Ids that the model does not have are named with the file and the place where they lie.
TEST(MegatronLoader, FaultsNameTheFileAndThePlace) {
  const TemporaryFolder cache;
  MegatronOptions options;
  options.paths = parse_megatron_paths(kFolder + "a");
  options.split = "1,0,0", options.sequence_length = 16, options.samples = 60;
  options.cache_folder = cache.path().string();
  const auto samples = open_megatron(options);
  ReadOptions reads;
  reads.shuffle = false;
  reads.vocab_size = 1;
  const RowReader reader(window_rows(samples), std::make_shared<WindowBuilder>(samples, WindowLabels{}), reads);
  for (const int64_t sample : {0, 7, 59}) {
    std::vector<int32_t> tokens;
    samples->read(sample, tokens);
    const auto message = message_of([&] { std::rethrow_exception(reader.read(0, sample).error); });
    EXPECT_THAT(message, HasSubstr(fmt::format("a: sample {}, from token ", sample)));
    EXPECT_THAT(message, HasSubstr("is outside the model's vocabulary of 1"));
    // What lies there, read from the file itself.
    const size_t from = message.find("from token "), of = message.find(" of sequence ");
    const MegatronFile file(kFolder + "a");
    std::vector<int32_t> there;
    const int64_t begin = std::stoll(message.substr(from + 11)), sequence = std::stoll(message.substr(of + 13));
    if (begin < file.length(sequence)) {
      file.read(sequence, begin, 1, there);
      EXPECT_EQ(there[0], tokens[0]);
    }
  }
}

TEST(MegatronLoader, GoesOnWhereItStoodAndRefusesAnotherOrder) {
  const TemporaryFolder cache;
  MegatronOptions options;
  options.paths = parse_megatron_paths(kFolder + "a");
  options.split = "1,0,0", options.sequence_length = 16, options.samples = 60;
  options.cache_folder = cache.path().string();
  const auto loader_of = [&] {
    const auto samples = open_megatron(options);
    LoaderOptions reads;
    reads.read.shuffle = false;
    reads.pack.local_batch_size = 2;
    return std::make_unique<Loader>(window_rows(samples), std::make_shared<WindowBuilder>(samples, WindowLabels{}),
                                    reads);
  };
  auto whole = loader_of(), first = loader_of();
  for (int i = 0; i < 7; ++i) whole->next(), first->next();
  const Json state = first->state();
  auto second = loader_of();
  second->restore(state);
  for (int i = 0; i < 20; ++i) {
    const auto a = whole->next(), b = second->next();
    ASSERT_EQ(a.has_value(), b.has_value());
    if (a) EXPECT_EQ(ids_of(*a), ids_of(*b));
  }
  options.samples = 61;  // more of the same epochs: the same order
  loader_of()->restore(state);
  options.samples = 999;
  EXPECT_THAT(message_of([&] { loader_of()->restore(state); }), HasSubstr("was saved with order"));
}

}  // namespace
}  // namespace automodel::data
