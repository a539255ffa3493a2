// Files that cannot be used: one clear error each, and no crash on any shortened or changed file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/tokenizer/pipeline.h"

namespace automodel::tokenizer {
namespace {

const std::filesystem::path kData = std::filesystem::path(AUTOMODEL_SOURCE_DIR) / "automodel/tokenizer/testdata";

std::string bpe(const std::string& vocab, const std::string& merges, const std::string& rest = "") {
  return R"({"model": {"type": "BPE", "vocab": )" + vocab + R"(, "merges": )" + merges + "}" + rest + "}";
}

void expect_data_error(const std::string& text, const std::string& part) {
  try {
    Pipeline pipeline(parse_tokenizer_file(text, "t.json"), "t.json");
    ADD_FAILURE() << "accepted: " << text.substr(0, 200);
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("t.json"));
    EXPECT_THAT(error.what(), testing::HasSubstr(part));
  }
}

TEST(TokenizerFile, MalformedOnesAreDataErrors) {
  expect_data_error("", "the file ends where an object should be");
  expect_data_error("[]", "expected an object");
  expect_data_error("{}", "'model' is missing");
  expect_data_error(R"({"model": 3})", "expected an object");
  expect_data_error(R"({"model": {"type": "BPE", "merges": []}})", "'vocab' is missing");
  expect_data_error(R"({"model": {"type": "BPE", "vocab": {}}})", "'merges'");
  expect_data_error(bpe(R"({"a": 0, "b": 0})", "[]"), "the id 0 is given to 'a' and to 'b'");
  expect_data_error(bpe(R"({"a": 0, "a": 1})", "[]"), "'a' is given twice");
  expect_data_error(bpe(R"({"a": -1})", "[]"), "must be in [0, 16777216)");
  expect_data_error(bpe(R"({"a": 4000000000})", "[]"), "must be in [0, 16777216)");
  expect_data_error(bpe(R"({"a": 99999999999999999999999})", "[]"), "must be in [0, 16777216)");
  expect_data_error(bpe(R"({"a": 1.5})", "[]"), "whole number");
  expect_data_error(bpe(R"({"a": "0"})", "[]"), "must be a number");
  expect_data_error(bpe(R"({"a": 0, "b": 1})", R"(["a b"])"), "names the token 'ab'");
  expect_data_error(bpe(R"({"a": 0, "ab": 1})", R"([["a", "b"]])"), "names the token 'b'");
  expect_data_error(bpe(R"({"a": 0})", R"(["a"])"), "not two tokens");
  expect_data_error(bpe(R"({"a": 0})", R"([["a"]])"), "second token");
  expect_data_error(bpe(R"({"a": 0})", R"({"a": "b"})"), "expected a list");
  expect_data_error(bpe("{\"a\xFF\": 0}", "[]"), "not UTF-8");
  expect_data_error(bpe(R"({"\ud800": 0})", "[]"), "surrogate");
  expect_data_error(bpe("{}", "[]") + "x", "after the end");
  expect_data_error(bpe("{}", "[]", R"(, "normalizer": {})"), "'type' is missing");
  expect_data_error(bpe("{}", "[]", R"(, "normalizer": 5)"), "must be an object");
  expect_data_error(
      bpe("{}", "[]", R"(, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"})"),
      "cannot compile");
  expect_data_error(
      bpe("{}", "[]", R"(, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Sideways"})"),
      "'behavior'");
  expect_data_error(bpe("{}", "[]", R"(, "added_tokens": [{"content": "x"}])"), "'id' is missing");
  expect_data_error(bpe("{}", "[]", R"(, "added_tokens": [{"id": 99999999, "content": "x"}])"), "below");
  expect_data_error(
      bpe("{}", "[]", R"(, "post_processor": {"type": "BertProcessing", "cls": ["a", -1], "sep": ["b", 1]})"),
      "a token id");
  expect_data_error(R"({"model": {"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.5]]}})", "'unk_id' 7");
  expect_data_error(R"({"model": {"type": "Unigram", "vocab": [["a", "x"]]}})", "expected a number");
  expect_data_error(R"({"normalizer": )" + std::string(600, '[') + std::string(600, ']') + R"(, "model": {}})",
                    "nested deeper");
}

TEST(TokenizerFile, UnknownComponentsAreUnsupportedByName) {
  const auto expect = [](const std::string& rest, const std::string& part) {
    try {
      Pipeline pipeline(parse_tokenizer_file(bpe("{}", "[]", rest), "t.json"), "t.json");
      ADD_FAILURE() << "accepted " << rest;
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(part));
    }
  };
  expect(R"(, "normalizer": {"type": "Rot13"})", "Rot13");
  expect(R"(, "pre_tokenizer": {"type": "UnicodeScripts"})", "UnicodeScripts");
  expect(R"(, "post_processor": {"type": "Fancy"})", "Fancy");
  expect(R"(, "decoder": {"type": "Morse"})", "Morse");
}

TEST(TokenizerFile, AnyTruncationIsADataError) {
  const std::string text = read_file(kData / "byte_level.json");
  for (size_t size = 0; size + 2 < text.size(); size += 37)
    EXPECT_THROW(Pipeline(parse_tokenizer_file(text.substr(0, size), "t.json"), "t.json"), DataError) << size;
}

TEST(TokenizerFile, DamageNeverCrashes) {
  std::mt19937 random(7);
  for (const char* name : {"byte_level.json", "unigram.json", "word_piece.json", "sentencepiece.json"}) {
    const std::string whole = read_file(kData / name);
    for (int i = 0; i < 60; ++i) {
      std::string text = whole;
      for (int k = 0; k < 3; ++k) text[random() % text.size()] = static_cast<char>(random());
      try {
        Pipeline pipeline(parse_tokenizer_file(text, "t.json"), "t.json");
        pipeline.encode_with_offsets("Hello w\u00F6rld \U0001F600 123", true);
      } catch (const Error&) {
      }
    }
  }
}

TEST(Tokenizer, TextThatIsNotUtf8IsADataError) {
  const auto pipeline = load_pipeline(kData / "byte_level.json");
  EXPECT_THROW(pipeline->encode("ab\xFF", false), DataError);
  EXPECT_THROW(pipeline->encode("\xE4\xB8", false), DataError);
}

}  // namespace
}  // namespace automodel::tokenizer
