// Indexed data sets and the order of their samples against megatron-core and NeMo AutoModel
// (testdata/megatron, made by tools/make_megatron_goldens.py), and damaged files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/data/megatron_cache.h"
#include "automodel/data/megatron_dataset.h"
#include "automodel/data/megatron_md5.h"
#include "automodel/data/megatron_random.h"
#include "automodel/data/mock_packed.h"

namespace automodel::data {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kFolder = "automodel/data/testdata/megatron/";  // as the goldens name it: tests run in the root

const Json& goldens() {
  static const Json json = load_json(fs::path(AUTOMODEL_SOURCE_DIR) / kFolder / "goldens.json");
  return json;
}

template <class T>
std::string md5_of(const std::vector<T>& values) {
  return md5({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

TEST(Md5, IsThatOfRfc1321) {
  EXPECT_EQ(md5(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
            "57edf4a22be3c955ac49da2e2107b67a");
  EXPECT_EQ(md5(std::string(56, 'a')), "3b0c8ac703f828b04c6c197006d17218");
}

TEST(RandomState, ShufflesAsNumpyDoes) {
  for (const auto& golden : goldens()["shuffles"]) {
    RandomState random(golden["seed"].get<uint32_t>());
    std::vector<int32_t> whole;
    for (const auto& size : golden["sizes"]) {
      std::vector<int32_t> values(size.get<size_t>());
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i);
      random.shuffle(std::span(values));
      whole.insert(whole.end(), values.begin(), values.end());
    }
    EXPECT_EQ(md5_of(whole), golden["md5"].get<std::string>()) << golden["seed"] << " " << golden["sizes"];
    EXPECT_EQ(std::vector(whole.begin(), whole.begin() + static_cast<int64_t>(golden["first"].size())),
              golden["first"].get<std::vector<int32_t>>());
  }
}

TEST(MockPacked, BlocksAreThoseOfNemoAutoModel) {
  for (const auto& golden : goldens()["mock_packed"]) {
    const Json& given = golden["options"];
    const MockPackedOptions options{given.value("num_blocks", 10),  given.value("block_size", 128),
                                    given.value("mean_len", 20.0),  given.value("std_len", 6.0),
                                    given.value("vocab_size", 100), given.value("max_sentence_len", 64),
                                    given.value("seed", int64_t{0})};
    EXPECT_EQ(mock_blocks(options), golden["blocks"].get<std::vector<std::vector<int32_t>>>()) << given;
  }
  EXPECT_THAT(message_of([] { mock_blocks({.block_size = 2, .mean_len = 50, .std_len = 0}); }),
              HasSubstr("hardly ever"));
}

TEST(MegatronFile, ReadsWhatMegatronWrites) {
  int tokens = 0;
  for (const auto& golden : goldens()["files"]) {
    const MegatronFile file(golden["prefix"].get<std::string>());
    const bool floats = golden["dtype"].get<std::string>().starts_with("float");
    EXPECT_EQ(name_of(file.type()), golden["dtype"].get<std::string>());
    ASSERT_EQ(file.sequences(), static_cast<int64_t>(golden["sequences"].size()));
    ASSERT_EQ(file.documents(), static_cast<int64_t>(golden["documents"].size()) - 1);
    for (int64_t d = 0; d < file.documents(); ++d) {
      const auto at = static_cast<size_t>(d);
      EXPECT_EQ(file.document(d),
                std::make_pair(golden["documents"][at].get<int64_t>(), golden["documents"][at + 1].get<int64_t>()));
    }
    for (int64_t s = 0; s < file.sequences(); ++s) {
      const auto expected = golden["sequences"][static_cast<size_t>(s)].get<std::vector<int64_t>>();
      ASSERT_EQ(file.length(s), static_cast<int64_t>(expected.size()));
      std::vector<int32_t> ids;
      const bool wide = std::any_of(expected.begin(), expected.end(), [](int64_t id) { return id > INT32_MAX; });
      if (floats || wide) {
        EXPECT_THAT(message_of([&] { file.read(s, 0, file.length(s), ids); }), HasSubstr("no token id"));
        continue;
      }
      file.read(s, 0, file.length(s), ids);
      EXPECT_EQ(std::vector<int64_t>(ids.begin(), ids.end()), expected);
      tokens += static_cast<int>(ids.size());
    }
    ASSERT_EQ(file.has_modes(), !golden["modes"].is_null());
    if (file.has_modes())
      for (int64_t s = 0; s < file.sequences(); ++s)
        EXPECT_EQ(file.mode(s), golden["modes"][static_cast<size_t>(s)].get<int>());
  }
  EXPECT_GT(tokens, 1000);
}

MegatronOptions options_of(const Json& golden, const fs::path& cache) {
  MegatronOptions options;
  const Json& paths = golden["paths"];
  options.paths = parse_megatron_paths(paths.is_string() ? paths.get<std::string>() : paths.dump());
  const Json& given = golden["options"];
  const Json& split = given["split"];
  options.split = split.is_null() ? "" : split.is_string() ? split.get<std::string>() : "0.99, 0.01, 0.00";
  options.sequence_length = given["seq_length"].get<int64_t>();
  options.seed = given.value("seed", 1234);
  options.part = golden["part"] == "train" ? 0 : golden["part"] == "validation" ? 1 : 2;
  if (!golden["samples"].is_null()) options.samples = golden["samples"].get<int64_t>();
  options.cache_folder = cache.string();
  options.tokenizer = "models/tokenizer \u00e9";
  return options;
}

std::vector<int32_t> all_tokens(const TokenWindows& samples) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < samples.size(); ++i) samples.read(i, tokens);
  return tokens;
}

// Every sample of every order, and every byte of the cached indices with their names.
TEST(Order, IsThatOfNemoAutoModel) {
  int64_t samples = 0;
  int files = 0;
  for (const auto& golden : goldens()["orders"]) {
    const TemporaryFolder cache;
    const std::string name =
        golden["name"].get<std::string>() + " " + golden["options"].dump() + golden["samples"].dump();
    for (const char* how : {"made", "read from the cache"}) {
      const auto opened = open_megatron(options_of(golden, cache.path()));
      ASSERT_EQ(opened->size(), golden["length"].get<int64_t>()) << name << " " << how;
      EXPECT_EQ(md5_of(all_tokens(*opened)), golden["md5"].get<std::string>()) << name << " " << how;
      samples += opened->size();
    }
    std::map<std::string, std::string> cached, expected = golden["cache"].get<std::map<std::string, std::string>>();
    for (const auto& file : fs::directory_iterator(cache.path()))
      cached[file.path().filename().string()] = md5(read_file(file.path()));
    EXPECT_EQ(cached, expected) << name;
    files += static_cast<int>(expected.size());
  }
  EXPECT_EQ(goldens()["orders"].size(), 47u);
  EXPECT_GT(samples, 2000);
  EXPECT_GT(files, 200);
}

TEST(Order, OfACacheThatBelongsToOtherFilesIsRefused) {
  const TemporaryFolder cache;
  const Json& golden = goldens()["orders"][2];
  const auto options = options_of(golden, cache.path());
  open_megatron(options);
  for (const auto& file : fs::directory_iterator(cache.path()))
    if (file.path().string().ends_with("sample_index.npy")) fs::resize_file(file.path(), 200);
  EXPECT_THAT(message_of([&] { open_megatron(options); }), HasSubstr("sample_index.npy"));
}

MegatronFile damaged(std::string index, const std::string& tokens, size_t at, const std::string& bytes) {
  index.replace(at, bytes.size(), bytes);
  return MegatronFile(index, tokens, "x");
}

TEST(MegatronFile, RefusesWhatIsDamaged) {
  const std::string index = read_file(kFolder + "b.idx"), tokens = read_file(kFolder + "b.bin");
  const auto open = [&](const std::string& bytes) { return message_of([&] { MegatronFile(bytes, tokens, "x"); }); };
  EXPECT_THAT(open(""), HasSubstr("MMIDIDX"));
  EXPECT_THAT(open("TNTIDX\0\0" + index.substr(8)), HasSubstr("old cached or lazy format"));
  EXPECT_THAT(open(index.substr(0, index.size() - 1)), HasSubstr("cut off"));
  EXPECT_THAT(open(index + "xx"), HasSubstr("cut off"));
  const auto with = [&](size_t at, const std::string& bytes) {
    return message_of([&] { damaged(index, tokens, at, bytes); });
  };
  EXPECT_THAT(with(9, "\x02"), HasSubstr("version 2"));
  EXPECT_THAT(with(17, "\x09"), HasSubstr("dtype 9"));
  EXPECT_THAT(with(18, std::string(8, '\xff')), HasSubstr("do not hold"));
  EXPECT_THAT(with(26, std::string(8, '\xff')), HasSubstr("do not hold"));
  EXPECT_THAT(with(index.size() - 8, std::string(1, '\x05')), HasSubstr("documents span"));
  const MegatronFile whole(index, tokens, "x");
  const auto second = 34 + 4 * static_cast<size_t>(whole.sequences()) + 8;
  const std::string cut(index);  // views must live as long as the file
  std::string longer = cut, elsewhere = cut;
  longer.replace(34, 4, std::string("\x00\x00\x00\x70", 4));
  elsewhere.replace(second, 8, std::string(7, '\xff') + "\x7f");
  EXPECT_THAT(message_of([&] { MegatronFile(longer, tokens, "x").length(0); }), HasSubstr("do not lie in the"));
  EXPECT_THAT(message_of([&] { MegatronFile(elsewhere, tokens, "x").length(1); }), HasSubstr("do not lie in the"));
  std::vector<int32_t> ids;
  EXPECT_THAT(message_of([&] { whole.read(0, 0, whole.length(0) + 1, ids); }), HasSubstr("were asked for"));
  EXPECT_THAT(message_of([] { MegatronFile("s3://bucket/x"); }), HasSubstr("object storage"));
}

TEST(MegatronFile, SurvivesRandomChanges) {
  const std::string index = read_file(kFolder + "a.idx"), tokens = read_file(kFolder + "a.bin");
  std::mt19937 random(3);
  int refused = 0, read = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = index;
    for (int k = 0; k < round % 4; ++k) changed[random() % changed.size()] = static_cast<char>(random());
    std::string cut = tokens.substr(0, round % 3 == 0 ? random() % (tokens.size() + 1) : tokens.size());
    try {
      const MegatronFile file(changed, cut, "x");
      std::vector<int32_t> ids;
      for (int64_t s = 0; s < file.sequences(); ++s) file.read(s, 0, file.length(s), ids);
      for (int64_t d = 0; d < file.documents(); ++d) file.document(d);
      ++read;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(read, 10);
}

TEST(Paths, AreBlendsAsMegatronReadsThem) {
  const auto single = parse_megatron_paths(R"(["30", "a"])");
  EXPECT_EQ(single.all->prefixes, std::vector<std::string>{"a"});
  EXPECT_FALSE(single.all->weights);
  const auto blend = parse_megatron_paths(R"([30, " a ", 70.5, "b"])");
  EXPECT_EQ(blend.all->prefixes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*blend.all->weights, (std::vector<double>{30, 70.5}));
  EXPECT_FALSE(parse_megatron_paths(R"(["a", "b"])").all->weights);
  const auto parts = parse_megatron_paths(R"({"train": "a", "valid": ["b"]})");
  EXPECT_FALSE(parts.all);
  EXPECT_EQ(parts.parts[1]->prefixes, std::vector<std::string>{"b"});
  EXPECT_FALSE(parts.parts[2]);
  EXPECT_THAT(message_of([] { parse_megatron_paths(R"(["30", "a", "b", "c"])"); }), HasSubstr("1 weights for 2 sets"));
  EXPECT_THAT(message_of([] { parse_megatron_paths(R"(["0", "a", "1", "c"])"); }), HasSubstr("expected more than 0"));
  EXPECT_THAT(message_of([] { parse_megatron_paths(R"({"trian": "a"})"); }), HasSubstr("'trian' is no split"));
  EXPECT_THAT(message_of([] { parse_megatron_paths("no/such/*"); }), HasSubstr("no file matches"));
  EXPECT_THAT(message_of([] { parse_megatron_paths(""); }), HasSubstr("is missing"));
}

TEST(Shares, OfASplitThatGetsNothingAreAnError) {
  const TemporaryFolder cache;
  MegatronOptions options;
  options.paths = parse_megatron_paths(kFolder + "a");
  options.split = "99,1,0";
  options.part = 2;
  options.cache_folder = cache.path().string();
  EXPECT_THAT(message_of([&] { open_megatron(options); }), HasSubstr("leaves nothing for this split"));
  options.split = "1.2.3";
  EXPECT_THAT(message_of([&] { open_megatron(options); }), HasSubstr("is no number"));
  options.paths = parse_megatron_paths("[\"1\", \"" + kFolder + "a\", \"2\", \"" + kFolder + "b\"]");
  options.part = 0, options.split = "1,0,0";
  EXPECT_THAT(message_of([&] { open_megatron(options); }), HasSubstr("needs a number of samples"));
}

}  // namespace
}  // namespace automodel::data
