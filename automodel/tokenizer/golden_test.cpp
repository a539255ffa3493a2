// Golden cases of tools/make_tokenizer_goldens.py: what PyPI tokenizers 0.23.3 answers for four small tokenizers.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/tokenizer/pipeline.h"
#include "automodel/tokenizer/stream_decoder.h"

namespace automodel::tokenizer {
namespace {

const std::filesystem::path kData = std::filesystem::path(AUTOMODEL_SOURCE_DIR) / "automodel/tokenizer/testdata";

class Golden : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<Pipeline> pipeline_ = load_pipeline(kData / (std::string(GetParam()) + ".json"));
  Json cases_ = load_json(kData / (std::string(GetParam()) + ".cases.json"));
};

TEST_P(Golden, IdsEqualTheLibrarys) {
  ASSERT_GT(cases_.size(), 50u);
  for (const Json& c : cases_) {
    EXPECT_EQ(pipeline_->encode(c["text"].get<std::string>(), false), c["ids"].get<std::vector<int32_t>>())
        << c["text"];
    EXPECT_EQ(pipeline_->encode(c["text"].get<std::string>(), true), c["special"].get<std::vector<int32_t>>())
        << c["text"];
  }
}

TEST_P(Golden, OffsetsEqualTheLibrarys) {
  for (const Json& c : cases_) {
    const Encoding encoding = pipeline_->encode_with_offsets(c["text"].get<std::string>(), true);
    EXPECT_EQ(encoding.ids, c["special"].get<std::vector<int32_t>>()) << c["text"];
    EXPECT_EQ(encoding.offsets, c["offsets"].get<Offsets>()) << c["text"];
  }
}

TEST_P(Golden, DecodingEqualsTheLibrarys) {
  for (const Json& c : cases_) {
    const auto ids = c["special"].get<std::vector<int32_t>>();
    EXPECT_EQ(pipeline_->decode(ids, false), c["decoded"].get<std::string>());
    EXPECT_EQ(pipeline_->decode(ids, true), c["skipped"].get<std::string>());
  }
}

TEST_P(Golden, ThreadsGetTheSameIds) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (const Json& c : cases_)
        wrong += pipeline_->encode(c["text"].get<std::string>(), false) != c["ids"].get<std::vector<int32_t>>();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Small, Golden, testing::Values("byte_level", "sentencepiece", "word_piece", "unigram"),
                         [](const auto& info) { return std::string(info.param); });

TEST(StreamDecoder, GivesWholeCharactersAndInSumTheText) {
  for (const char* name : {"byte_level", "sentencepiece"}) {
    const auto pipeline = load_pipeline(kData / (std::string(name) + ".json"));
    const std::string text = "Hello 世界 😀 naïve мир <|end|>done";
    const auto ids = pipeline->encode(text, false);
    StreamDecoder stream(pipeline, true);
    std::string whole;
    size_t parts = 0;
    for (const int32_t id : ids) {
      const std::string part = stream.push(id);
      EXPECT_EQ(part.find("\xEF\xBF\xBD"), std::string::npos) << name;
      parts += !part.empty();
      whole += part;
    }
    whole += stream.finish();
    EXPECT_EQ(whole, pipeline->decode(ids, true)) << name;
    EXPECT_GT(parts, 8u);
  }
}

TEST(StreamDecoder, ShowsAnUnfinishedCharacterAtTheEnd) {
  const auto pipeline = load_pipeline(kData / "byte_level.json");
  const auto ids = pipeline->encode("\U0001F9F6", false);
  ASSERT_GT(ids.size(), 1u);
  StreamDecoder stream(pipeline, true);
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST(StreamDecoder, BrokenBytesWithoutEndAreGivenOut) {
  const auto pipeline = load_pipeline(kData / "sentencepiece.json");
  const int32_t broken = pipeline->token_to_id("<0xFF>").value();
  StreamDecoder stream(pipeline, true);
  size_t given = 0;
  for (int i = 0; i < 1000; ++i) given += stream.push(broken).size();
  given += stream.finish().size();
  EXPECT_EQ(given, 1000 * std::string("\uFFFD").size());
}

// tokenizer(text, truncation=True, max_length=4) of transformers 5.17 gives these, with truncation_side right and left.
TEST(Truncation, KeepsSpecialTokensAndOneSideOfTheText) {
  const auto pipeline = load_pipeline(kData / "byte_level.json");
  const std::vector<int32_t> all = pipeline->encode("Hello world and text", true);
  ASSERT_GT(all.size(), 5u);
  const Encoding right = pipeline->encode_truncated("Hello world and text", true, 4);
  EXPECT_EQ(right.ids, (std::vector<int32_t>{all[0], all[1], all[2], all.back()}));
  EXPECT_EQ(right.offsets.size(), 4u);
  const Encoding left = pipeline->encode_truncated("Hello world and text", true, 4, true);
  EXPECT_EQ(left.ids, (std::vector<int32_t>{all[0], all[all.size() - 3], all[all.size() - 2], all.back()}));
  EXPECT_EQ(pipeline->encode_truncated("Hello world and text", true, 100).ids, all);
  EXPECT_EQ(pipeline->encode_truncated("Hello", true, 2).ids, (std::vector<int32_t>{all[0], all.back()}));
  EXPECT_THROW(pipeline->encode_truncated("Hello", true, 1), ConfigError);
}

TEST(CharacterOffsets, CountCodePoints) {
  const std::string text = "a\u00E9\u4E16\U0001F600b";
  const Offsets bytes = {{0, 0}, {0, 1}, {1, 3}, {3, 6}, {6, 10}, {10, 11}, {0, 11}, {7, 8}};
  EXPECT_EQ(character_offsets(text, bytes), (Offsets{{0, 0}, {0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {0, 5}, {3, 3}}));
}

}  // namespace
}  // namespace automodel::tokenizer
