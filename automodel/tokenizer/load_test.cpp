// load() against transformers' AutoTokenizer: golden cases of tools/make_tokenizer_class_goldens.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/tokenizer/class_rules.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::tokenizer {
namespace {

namespace fs = std::filesystem;
const fs::path kSource = AUTOMODEL_SOURCE_DIR;
const fs::path kData = kSource / "automodel/tokenizer/testdata";

void expect_named(const Json& expected, const std::string& token, std::optional<int32_t> id) {
  EXPECT_EQ(token, expected[0].is_null() ? "" : expected[0].get<std::string>());
  EXPECT_EQ(id, expected[1].is_null() ? std::nullopt : std::optional(expected[1].get<int32_t>()));
}

TEST(Load, EqualsAutoTokenizer) {
  const Json setups = load_json(kData / "classes.json");
  ASSERT_GE(setups.size(), 12u);
  for (const Json& setup : setups) {
    SCOPED_TRACE(setup["file"].get<std::string>() + " " + setup["model_type"].get<std::string>() + " " +
                 setup["config"].dump());
    const TemporaryFolder folder;
    fs::copy_file(kData / (setup["file"].get<std::string>() + ".json"), folder.path() / "tokenizer.json");
    folder.write("tokenizer_config.json", setup["config"].dump());
    folder.write("config.json", Json{{"model_type", setup["model_type"]}}.dump());
    const auto tokenizer = load(folder.path());
    EXPECT_EQ(tokenizer->vocab_size(), setup["size"].get<int64_t>());
    expect_named(setup["bos"], tokenizer->bos_token, tokenizer->bos_id);
    expect_named(setup["eos"], tokenizer->eos_token, tokenizer->eos_id);
    expect_named(setup["pad"], tokenizer->pad_token, tokenizer->pad_id);
    for (const Json& c : setup["cases"]) {
      const auto ids = c["ids"].get<std::vector<int32_t>>();
      EXPECT_EQ(tokenizer->encode(c["text"].get<std::string>(), true), ids) << c["text"];
      EXPECT_EQ(tokenizer->encode(c["text"].get<std::string>(), false), c["plain"].get<std::vector<int32_t>>())
          << c["text"];
      EXPECT_EQ(tokenizer->decode(ids, false), c["decoded"].get<std::string>());
      EXPECT_EQ(tokenizer->decode(ids, true), c["skipped"].get<std::string>());
    }
  }
}

TEST(Load, QuickstartTokenizerHasItsChatTokens) {
  const auto tokenizer = load(kSource / "assets/quickstart/model");
  EXPECT_EQ(tokenizer->vocab_size(), 4096);
  EXPECT_EQ(tokenizer->eos_token, "<|im_end|>");
  EXPECT_EQ(tokenizer->eos_id, 4095);
  EXPECT_EQ(tokenizer->pad_id, 4093);
  EXPECT_EQ(tokenizer->bos_id, std::nullopt);
  EXPECT_THAT(tokenizer->chat_template, testing::HasSubstr("generation"));
  // transformers 5.17's ids of this text
  EXPECT_EQ(tokenizer->encode("<|im_start|>user\nWhat is 12+30?<|im_end|>\n", true),
            (std::vector<int32_t>{4094, 331, 198, 696, 311, 220, 16, 17, 10, 18, 15, 30, 4095, 198}));
}

TEST(Load, ChatTemplateFileComesBeforeTheConfigs) {
  const TemporaryFolder folder;
  fs::copy_file(kData / "byte_level.json", folder.path() / "tokenizer.json");
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  EXPECT_EQ(load(folder.path())->chat_template, "D");
  folder.write("chat_template.jinja", "J");
  EXPECT_EQ(load(folder.path())->chat_template, "J");
  fs::create_directory(folder.path() / "additional_chat_templates");
  folder.write("additional_chat_templates/tools.jinja", "T");
  std::vector<std::string> names;
  for (const auto& file : tokenizer_files(folder.path())) names.push_back(file.filename());
  EXPECT_THAT(names, testing::UnorderedElementsAre("tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                                                   "tools.jinja"));
}

TEST(Load, MissingAndWrongFilesAreNamed) {
  const TemporaryFolder folder;
  EXPECT_THROW(load(folder.path()), DataError);
  folder.write("tokenizer.model", "x");
  EXPECT_THROW(load(folder.path()), DataError);
  fs::copy_file(kData / "word_piece.json", folder.path() / "tokenizer.json");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})");
  EXPECT_THROW(load(folder.path()), DataError);  // not a BPE
  folder.write("tokenizer_config.json", "[]");
  EXPECT_THROW(load(folder.path()), DataError);
  folder.write("tokenizer_config.json", R"({"bos_token": 3})");
  EXPECT_THROW(load(folder.path()), DataError);
  folder.write("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})");
  EXPECT_THROW(load(folder.path()), DataError);
}

TEST(ClassRules, FollowModelTypeAndNamedClass) {
  const auto chosen = [](const char* named, const char* model_type) {
    return tokenizer_class(Json{{"tokenizer_class", named}}, Json{{"model_type", model_type}});
  };
  EXPECT_EQ(chosen("LlamaTokenizerFast", "llama"), "LlamaTokenizer");
  EXPECT_EQ(chosen("LlamaTokenizer", "phi3"), "TokenizersBackend");
  EXPECT_EQ(chosen("LlamaTokenizerFast", "qwen2"), "Qwen2Tokenizer");
  EXPECT_EQ(chosen("PreTrainedTokenizerFast", "qwen3"), "TokenizersBackend");
  EXPECT_EQ(tokenizer_class(Json::object(), Json{{"model_type", "gpt2"}}), "GPT2Tokenizer");
  EXPECT_EQ(tokenizer_class(Json::object(), Json::object()), "TokenizersBackend");
}

}  // namespace
}  // namespace automodel::tokenizer
