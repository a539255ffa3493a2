// NanoGPT shards against NeMo AutoModel (testdata/nanogpt, made by tools/make_nanogpt_goldens.py), and damaged ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/data/nanogpt_dataset.h"

namespace automodel::data {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kFolder = "automodel/data/testdata/nanogpt/";

std::vector<int32_t> read(const TokenWindows& windows, int64_t window) {
  std::vector<int32_t> tokens;
  windows.read(window, tokens);
  return tokens;
}

TEST(Nanogpt, SamplesAreThoseOfNemoAutoModelForMoreThanAPass) {
  int64_t compared = 0;
  for (const auto& golden : load_json(kFolder + "goldens.json")) {
    const auto& samples = golden["samples"];
    NanogptOptions options{.files = {golden["files"].get<std::string>()}, .seq_len = golden["seq_len"].get<int64_t>()};
    options.align_to_bos = golden["align_to_bos"].get<bool>();
    options.bos_token = golden["bos_token"].get<int64_t>();
    options.samples = static_cast<int64_t>(samples.size());
    const auto windows = open_nanogpt(options);
    ASSERT_EQ(windows->size(), *options.samples);
    for (int64_t i = *options.samples - 1; i >= 0; --i, ++compared)  // backwards: any place is found by itself
      ASSERT_EQ(read(*windows, i), samples[static_cast<size_t>(i)].get<std::vector<int32_t>>())
          << golden["files"] << " " << options.seq_len << " " << options.align_to_bos << " sample " << i;
  }
  EXPECT_GT(compared, 1500);
}

TEST(Nanogpt, ShuffledShardsComeOnceInEachPassInAnotherOrder) {
  NanogptOptions options{.files = {kFolder + "*.bin"}, .seq_len = 4, .shuffle_files = true, .samples = 100000};
  const auto windows = open_nanogpt(options);
  const auto again = open_nanogpt(options);
  options.samples.reset();
  const int64_t pass = open_nanogpt(options)->size();
  std::set<std::vector<int32_t>> contents, orders;
  for (int64_t p = 0; p < 12; ++p) {
    std::vector<std::vector<int32_t>> samples;
    std::vector<int32_t> order;
    for (int64_t i = 0; i < pass; ++i) {
      samples.push_back(read(*windows, p * pass + i));
      EXPECT_EQ(samples.back(), read(*again, p * pass + i));
      order.insert(order.end(), samples.back().begin(), samples.back().end());
    }
    orders.insert(order);
    std::sort(samples.begin(), samples.end());
    std::vector<int32_t> content;
    for (const auto& sample : samples) content.insert(content.end(), sample.begin(), sample.end());
    contents.insert(content);
  }
  EXPECT_EQ(contents.size(), 1u);
  EXPECT_GT(orders.size(), 4u);
}

TEST(Nanogpt, FaultsAreNamed) {
  const TemporaryFolder folder;
  const std::string whole = read_file(kFolder + "part_1.bin");
  const auto with = [&](size_t at, const std::string& bytes, size_t size) {
    std::string changed = whole;
    changed.replace(at, bytes.size(), bytes);
    std::ofstream(folder / "x.bin") << changed.substr(0, size);
    return message_of([&] { open_nanogpt({.files = {(folder / "x.bin").string()}, .seq_len = 4}); });
  };
  EXPECT_EQ(with(0, "", whole.size()), "");
  EXPECT_THAT(with(0, "x", whole.size()), HasSubstr("is no NanoGPT shard"));
  EXPECT_THAT(with(4, "\x02", whole.size()), HasSubstr("version 2"));
  EXPECT_THAT(with(12, "\x03", whole.size()), HasSubstr("3 bytes a token"));
  EXPECT_THAT(with(0, "", whole.size() - 2), HasSubstr("cut off"));
  EXPECT_THAT(with(0, "", 100), HasSubstr("shorter than a header"));
  EXPECT_THAT(with(8, "\xff\xff\xff\xff", whole.size()), HasSubstr("says -1 tokens"));
  EXPECT_THAT(message_of([] { open_nanogpt({.files = {"no/such*.bin"}}); }), HasSubstr("no file matches"));
  EXPECT_THAT(message_of([] { open_nanogpt({.files = {kFolder + "old.bin"}, .align_to_bos = true}); }),
              HasSubstr("align_to_bos needs it"));
  EXPECT_THAT(message_of([] { open_nanogpt({.files = {kFolder + "old.bin"}}); }), HasSubstr("no shard holds a sample"));
  const auto wrong = open_nanogpt(
      {.files = {kFolder + "part_1.bin"}, .seq_len = 4, .align_to_bos = true, .bos_token = 8, .samples = 3});
  EXPECT_THAT(message_of([&] { read(*wrong, 0); }), HasSubstr(".bos.idx"));
  const auto fine = open_nanogpt({.files = {kFolder + "part_1.bin"}, .seq_len = 4, .samples = 3});
  EXPECT_THAT(fine->place(2), HasSubstr("part_1.bin: sample 2, tokens 10 to 14"));
}

}  // namespace
}  // namespace automodel::data
