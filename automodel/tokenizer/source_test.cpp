// load() of every file format but tokenizer.json: golden cases of tools/make_tokenizer_source_goldens.py, made by
// transformers' AutoTokenizer, sentencepiece and mistral-common.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::tokenizer {
namespace {

namespace fs = std::filesystem;
const fs::path kSources = fs::path(AUTOMODEL_SOURCE_DIR) / "automodel/tokenizer/testdata/sources";

void write_setup(const TemporaryFolder& folder, const Json& setup) {
  for (const auto& [name, content] : setup["files"].items())
    if (content.is_string())
      fs::copy_file(kSources / content.get<std::string>(), folder / name);
    else
      folder.write(name, content.dump());
  if (!setup["config"].is_null()) folder.write("tokenizer_config.json", setup["config"].dump());
  if (!setup["model_type"].is_null()) folder.write("config.json", Json{{"model_type", setup["model_type"]}}.dump());
}

void expect_named(const Json& expected, const std::string& token, std::optional<int32_t> id) {
  EXPECT_EQ(token, expected[0].is_null() ? "" : expected[0].get<std::string>());
  EXPECT_EQ(id, expected[1].is_null() ? std::nullopt : std::optional(expected[1].get<int32_t>()));
}

// [index of the text, plain ids or null, ids, offsets or null, decoded or null, skipped or null], as the tool writes
// them.
void expect_cases(const Tokenizer& tokenizer, const Json& cases, const Json& texts) {
  for (const Json& c : cases) {
    const auto text = texts[c[0].get<size_t>()].get<std::string>();
    SCOPED_TRACE(texts[c[0].get<size_t>()].dump());
    const auto ids = c[2].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer.encode(text, true), ids);
    EXPECT_EQ(tokenizer.encode(text, false), c[1].is_null() ? ids : c[1].get<std::vector<int32_t>>());
    const Encoding encoding = tokenizer.encode_with_offsets(text, true);
    EXPECT_EQ(encoding.ids, ids);
    std::vector<size_t> flat;
    for (const auto& [begin, end] : encoding.offsets) flat.insert(flat.end(), {begin, end});
    if (!c[3].is_null()) EXPECT_EQ(flat, c[3].get<std::vector<size_t>>());
    if (!c[4].is_null()) EXPECT_EQ(tokenizer.decode(ids, false), c[4].get<std::string>());
    if (!c[4].is_null() || !c[5].is_null())
      EXPECT_EQ(tokenizer.decode(ids, true), c[c[5].is_null() ? 4 : 5].get<std::string>());
  }
}

TEST(Sources, FoldersEqualAutoTokenizer) {
  size_t setups = 0;
  const Json golden = load_json(kSources / "cases.json");
  for (const Json& setup : golden["setups"]) {
    if (setup["kind"] != "auto") continue;
    SCOPED_TRACE(setup["files"].dump() + " " + setup["model_type"].dump() + " " + setup["config"].dump());
    const TemporaryFolder folder;
    write_setup(folder, setup);
    std::shared_ptr<const Tokenizer> tokenizer;
    EXPECT_NO_THROW(tokenizer = load(folder.path()));
    if (!tokenizer) continue;
    EXPECT_EQ(tokenizer->vocab_size(), setup["size"].get<int64_t>());
    expect_named(setup["bos"], tokenizer->bos_token, tokenizer->bos_id);
    expect_named(setup["eos"], tokenizer->eos_token, tokenizer->eos_id);
    expect_named(setup["pad"], tokenizer->pad_token, tokenizer->pad_id);
    expect_cases(*tokenizer, setup["cases"], golden["texts"]);
    ++setups;
  }
  EXPECT_GE(setups, 60u);
}

TEST(Sources, MistralsModelUnderItsOwnNameEqualsMistralCommon) {
  const Json golden = load_json(kSources / "cases.json");
  size_t setups = 0;
  for (const Json& setup : golden["setups"]) {
    if (setup["kind"] != "mistral") continue;
    const TemporaryFolder folder;
    write_setup(folder, setup);
    expect_cases(*load(folder.path()), setup["cases"], golden["texts"]);
    EXPECT_EQ(tokenizer_files(folder.path()), std::vector{folder / setup["files"].begin().key()});
    ++setups;
  }
  EXPECT_EQ(setups, 1u);
}

// A single file goes by SentencePiece's rules: the name alone changes nothing.
TEST(Sources, VersionedNamesAreSentencePieceModels) {
  const TemporaryFolder folder;
  const auto ids = load(kSources / "bpe.model")->encode("Hello  world", true);
  for (const char* name : {"tokenizer.model.v1", "a.model.v15", "a.model.v7m1"}) {
    fs::copy_file(kSources / "bpe.model", folder / name);
    EXPECT_EQ(load(folder / name)->encode("Hello  world", true), ids) << name;
  }
  for (const char* name : {"a.model.v", "a.model.v7m", "a.model.vx", "a.model.v7x", "a.v7"}) {
    fs::copy_file(kSources / "bpe.model", folder / name);
    EXPECT_THROW(load(folder / name), Error) << name;
  }
}

TEST(Sources, MistralsModelFindsControlPiecesAndObeysTheConfig) {
  const TemporaryFolder folder;
  fs::copy_file(kSources / "bpe.model", folder / "tokenizer.model.v3");
  folder.write("chat_template.jinja", "{{ messages }}");
  const auto plain = load(folder.path());
  EXPECT_EQ(plain->bos_token, "<s>");
  EXPECT_EQ(plain->eos_token, "</s>");
  EXPECT_EQ(plain->chat_template, "{{ messages }}");
  const auto ctl = *plain->token_to_id("<ctl>");
  std::vector<int32_t> ids = plain->encode("a", false);
  const size_t first = ids.size();
  ids.push_back(ctl);
  for (const int32_t id : plain->encode(" b", false)) ids.push_back(id);
  EXPECT_EQ(plain->encode("a<ctl> b", false), ids);
  const auto encoding = plain->encode_with_offsets("a<ctl> b", true);
  EXPECT_EQ(encoding.ids[0], plain->bos_id);
  EXPECT_EQ(encoding.offsets[1 + first], (std::pair<size_t, size_t>(1, 6)));
  EXPECT_EQ(encoding.offsets.back().second, 8u);
  EXPECT_EQ(plain->decode(ids, false), "a<ctl> b");
  EXPECT_EQ(plain->decode(ids, true), "a  b");  // as SentencePieceProcessor.decode: the prefix of " b" stays
  folder.write("tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
  const auto ending = load(folder.path())->encode("a", true);
  EXPECT_EQ(ending.front(), ids.front());
  EXPECT_EQ(ending.back(), plain->eos_id);
  folder.write("tokenizer_config.json", R"({"added_tokens_decoder": {"900": {"content": "<new>"}}})");
  EXPECT_THROW(load(folder.path()), UnsupportedError);
}

TEST(Sources, SingleFilesEqualTheirLibraries) {
  size_t files = 0;
  const Json golden = load_json(kSources / "cases.json");
  for (const Json& setup : golden["setups"]) {
    if (setup["kind"] == "auto" || setup["kind"] == "mistral") continue;
    SCOPED_TRACE(setup["file"].dump());
    expect_cases(*load(kSources / setup["file"].get<std::string>()), setup["cases"], golden["texts"]);
    ++files;
  }
  EXPECT_EQ(files, 5u);
}

}  // namespace
}  // namespace automodel::tokenizer
