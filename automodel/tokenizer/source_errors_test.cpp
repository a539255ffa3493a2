// What is wrong with a tokenizer's files is said with the file and its place; chat templates by name; the list of
// files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/tokenizer/rank_file.h"
#include "automodel/tokenizer/sentencepiece.h"
#include "automodel/tokenizer/tokenizer.h"
#include "automodel/tokenizer/vocabulary_files.h"

namespace automodel::tokenizer {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
const fs::path kSources = fs::path(AUTOMODEL_SOURCE_DIR) / "automodel/tokenizer/testdata/sources";

class SourceFaults : public testing::Test {
 protected:
  SourceFaults()
      : folder_(fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~SourceFaults() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    write_file_atomically(folder_ / name, text);
  }
  void copy(const std::string& name, const std::string& to) const { fs::copy_file(kSources / name, folder_ / to); }
  template <class F>
  static std::string fault(F f) {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "no fault";
  }
  std::string load_fault() const {
    return fault([&] { load(folder_); });
  }
  fs::path folder_;
};

TEST_F(SourceFaults, NameWhatIsMissing) {
  EXPECT_THAT(load_fault(), HasSubstr("holds no tokenizer"));
  copy("vocab.json", "vocab.json");
  EXPECT_THAT(load_fault(), HasSubstr("tokenizer_class"));  // whose file is it?
  write("config.json", R"({"model_type": "gpt2"})");
  EXPECT_THAT(load_fault(), HasSubstr("no merges.txt"));
  write("merges.txt", "#version: 0.2\nab\n");
  EXPECT_THAT(load_fault(), HasSubstr("merges.txt:2"));
  write("vocab.json", R"({"a": 0, "\ud800": 1})");
  EXPECT_THAT(load_fault(), HasSubstr("half a surrogate pair"));
  write("tokenizer_config.json", R"({"eos_token": "\udc00"})");
  EXPECT_THAT(load_fault(), HasSubstr("tokenizer_config.json:1:"));
  write("tokenizer_config.json", R"({"tokenizer_class": "WhisperTokenizer"})");
  EXPECT_THAT(load_fault(), HasSubstr("WhisperTokenizer"));
}

TEST_F(SourceFaults, RanksAloneAreNotEnough) {
  copy("ranks.model", "multilingual.tiktoken");
  EXPECT_THAT(load_fault(), HasSubstr("split pattern and the special tokens of 'multilingual' are missing"));
  const auto ranks = [](const char* text) { return fault([&] { parse_tiktoken(text, "f"); }); };
  EXPECT_THAT(ranks("AA== 0\nAQ==1\n"), HasSubstr("f:2"));
  EXPECT_THAT(ranks("AA== 0\n\n?? 1\n"), HasSubstr("f:3"));
  EXPECT_THAT(ranks("AA== 99999999\n"), HasSubstr("99999999"));
  EXPECT_THAT(ranks("AA== 0\nAA== 1\n"), HasSubstr("twice"));
  EXPECT_THAT(ranks("AA== 0\nAQ== 0\n"), HasSubstr("twice"));
  EXPECT_THAT(ranks(""), HasSubstr("no ranks"));
}

// tiktoken's encode of the normalised text, as Qwen-1's tokenizer calls it.
TEST_F(SourceFaults, QwenNormalisesBeforeItLooksForSpecialTokens) {
  copy("ranks.model", "qwen.tiktoken");
  const auto tokenizer = load(folder_ / "qwen.tiktoken");
  const auto ids = tokenizer->encode("a<|im_end|>\u0338b", true);
  EXPECT_EQ(ids, tokenizer->encode("a<|im_end|\u226Fb", true));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 151645), 0);
  EXPECT_EQ(tokenizer->encode("<|im_end|>e\u0301<|im_end|>", true).front(), 151645);
  EXPECT_EQ(tokenizer->encode("<|im_end|>e\u0301<|im_end|>", true).back(), 151645);
}

TEST_F(SourceFaults, TekkenKeysAreNamed) {
  const Json good = load_json(kSources / "tekken.json");
  const auto broken = [&](const auto& change) {
    Json file = good;
    change(file);
    return fault([&] { parse_tekken(file.dump(), "tekken.json"); });
  };
  EXPECT_EQ(broken([](Json&) {}), "no fault");
  EXPECT_THAT(broken([](Json& f) { f["config"].erase("pattern"); }), HasSubstr("'pattern' is missing"));
  EXPECT_THAT(broken([](Json& f) { f["vocab"][7]["rank"] = 8; }), HasSubstr("vocab[7]"));
  EXPECT_THAT(broken([](Json& f) { f["vocab"][7]["token_bytes"] = "?"; }), HasSubstr("vocab[7]"));
  EXPECT_THAT(broken([](Json& f) { f["special_tokens"][1]["rank"] = 0; }), HasSubstr("twice"));
  EXPECT_THAT(broken([](Json& f) { f["special_tokens"][1]["rank"] = 70; }), HasSubstr("0, 1, 2"));
  EXPECT_THAT(broken([](Json& f) { f["config"]["default_num_special_tokens"] = 2; }), HasSubstr("do not fit"));
  EXPECT_THAT(broken([](Json& f) { f.erase("special_tokens"), f["config"]["version"] = "v11"; }), HasSubstr("v11"));
  Json older = good;
  older.erase("special_tokens");
  older["config"]["default_num_special_tokens"] = 30;
  const TekkenFile file = parse_tekken(older.dump(), "tekken.json");
  EXPECT_EQ(file.special_tokens[3], "[INST]");
  EXPECT_EQ(file.special_tokens[29], "<SPECIAL_29>");
}

TEST_F(SourceFaults, SentencePieceBytesAreBounded) {
  const std::string good = read_file(kSources / "unigram.model");
  EXPECT_EQ(fault([&] { make_sentencepiece(parse_sentencepiece(good, "m"), "m"); }), "no fault");
  for (size_t size : {size_t{1}, size_t{5}, good.size() / 2, good.size() - 1})
    EXPECT_NE(fault([&] { make_sentencepiece(parse_sentencepiece(good.substr(0, size), "m"), "m"); }), "no fault")
        << size;
  const auto parsed = [](std::string_view bytes) { return fault([&] { parse_sentencepiece(bytes, "m"); }); };
  EXPECT_THAT(parsed("\x0A\x7F"), HasSubstr("m: byte 2"));
  EXPECT_THAT(parsed(std::string_view("\x0A\x03\x0A\x01\xFF", 5)), HasSubstr("not UTF-8"));
  EXPECT_THAT(parsed(std::string_view("\x0A\x02\x0A\x00", 4)), HasSubstr("without text"));
  EXPECT_THAT(parsed(""), HasSubstr("no pieces"));
  SentencePieceFile file = parse_sentencepiece(good, "m");
  file.byte_fallback = true;
  EXPECT_THAT(fault([&] { make_sentencepiece(file, "m"); }), HasSubstr("256 byte pieces"));
  file.model_type = SentencePieceFile::kWord;
  EXPECT_THAT(fault([&] { make_sentencepiece(file, "m"); }), HasSubstr("word and character models"));
}

TEST_F(SourceFaults, VocabularyOfLinesKeepsTheLastOfTwo) {
  ModelFile model;
  read_vocab_txt("[UNK]\na\u3000\r\na\nb", "vocab.txt", model);
  EXPECT_EQ(model.vocabulary.find("a"), 2);
  EXPECT_EQ(model.vocabulary.find("b"), 3);
  EXPECT_FALSE(model.vocabulary.contains(1));
  EXPECT_THROW(read_vocab_txt("a\n\xFF\n", "vocab.txt", model), DataError);
  EXPECT_THROW(read_vocab_txt("", "vocab.txt", model), DataError);
}

TEST_F(SourceFaults, SeveralTemplatesAndAllFilesAreFound) {
  copy("bpe.model", "tokenizer.model");
  copy("ranks.model", "x.tiktoken");
  write("tokenizer_config.json",
        R"({"tokenizer_class": "LlamaTokenizer", "chat_template": [{"name": "default", "template": "D"},
            {"name": "tool_use", "template": "T"}, {"name": "rag", "template": "R"}]})");
  const auto several = load(folder_);
  EXPECT_EQ(several->chat_template, "D");
  EXPECT_EQ(several->template_for(true), "T");
  EXPECT_EQ(several->template_for(false), "D");
  EXPECT_EQ(several->chat_templates.at("rag"), "R");
  write("chat_template.jinja", "J");
  EXPECT_EQ(load(folder_)->template_for(true), "J");
  write("additional_chat_templates/tool_use.jinja", "U");
  EXPECT_EQ(load(folder_)->template_for(true), "U");
  std::vector<std::string> names;
  for (const auto& file : tokenizer_files(folder_)) names.push_back(fs::relative(file, folder_).string());
  EXPECT_THAT(names, testing::UnorderedElementsAre("tokenizer.model", "x.tiktoken", "tokenizer_config.json",
                                                   "chat_template.jinja", "additional_chat_templates/tool_use.jinja"));
  write("tokenizer_config.json", R"({"chat_template": 3})");
  fs::remove(folder_ / "chat_template.jinja");
  fs::remove_all(folder_ / "additional_chat_templates");
  EXPECT_THAT(load_fault(), HasSubstr("'chat_template' must be"));
}

}  // namespace
}  // namespace automodel::tokenizer
