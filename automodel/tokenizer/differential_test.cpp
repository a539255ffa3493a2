// Every tokenizer of the assets against the `tokenizers` library itself: fuzzed Unicode of a fresh seed and real text.
//
// Needs AUTOMODEL_ASSETS (the files) and AUTOMODEL_ORACLES (a Python with tokenizers 0.23.3); skips by name without
// them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/pipeline.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {
namespace {

namespace fs = std::filesystem;
constexpr int kFuzzed = 2000;

std::vector<fs::path> tokenizer_files_of(const fs::path& assets) {
  std::set<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(assets / "tokenizers"))
    if (entry.path().extension() == ".json" && entry.path().filename().string().find("config") == std::string::npos) {
      const std::string text = read_file(entry.path());
      if (text.find("\"model\"") != std::string::npos && text.find("\"vocab\"") != std::string::npos)
        found.insert(entry.path());
    }
  return {found.begin(), found.end()};
}

// Words, marks, blanks, odd and unassigned code points, pieces of the tokenizer's own added tokens.
std::string fuzz(std::mt19937_64& random, const std::vector<std::string>& added) {
  static const char* const kParts[] = {"the",
                                       "Hello",
                                       "world",
                                       "I'm",
                                       "we'LL",
                                       "it'S",
                                       "12345",
                                       "foo_bar",
                                       "na\u00EFve",
                                       "stra\u00DFe",
                                       "  ",
                                       "\n",
                                       "\n\n",
                                       "\t",
                                       " \n ",
                                       "\r\n",
                                       "\u65E5\u672C\u8A9E",
                                       "\uD55C\uAD6D\uC5B4",
                                       "\u0E44\u0E17\u0E22",
                                       "\u0939\u093F\u0928\u094D\u0926\u0940",
                                       "\U0001F600",
                                       "\U0001F469\u200D\U0001F469\u200D\U0001F467",
                                       "e\u0301",
                                       "\u1112\u1161\u11AB",
                                       "'\u017F",
                                       "\u212A",
                                       "\u0130",
                                       "\u00BC",
                                       "\u0663",
                                       "\u2167",
                                       "...",
                                       "!?",
                                       "\u20AC",
                                       "\u200B",
                                       "\u00A0",
                                       "\u3000",
                                       "\uFEFF",
                                       "\u2028",
                                       "\u2581",
                                       "\u2581\u2581",
                                       "\x01",
                                       "\x7F",
                                       "\u0085",
                                       "\u0120",
                                       "<0x41>"};
  std::string text;
  for (auto n = random() % 40; n > 0; --n) {
    const auto kind = random() % 20;
    uint32_t code = 0;
    if (kind < 6)
      text += kParts[random() % std::size(kParts)];
    else if (kind < 8 && !added.empty())
      text += added[random() % added.size()];
    else if (kind < 10)
      text.append(random() % 5 + 1, ' ');
    else if (kind < 13)
      text += static_cast<char>(33 + random() % 94);
    else if (kind < 15)
      code = 0xA0 + random() % 0x2F60;
    else if (kind < 17)
      code = random() % 2 ? 0x300 + random() % 0x70 : 0xAC00 + random() % 0x2BA4;
    else if (kind < 19)
      code = 0x10000 + random() % 0x22000;
    else
      code = random() % 0x110000;
    if (code && !(code >= 0xD800 && code < 0xE000)) append_utf8(text, code);
    if (random() % 3 == 0) text += ' ';
  }
  return text;
}

void add_real_text(const fs::path& assets, Json& texts) {
  for (const char* name : {"datasets/tinyshakespeare/input.txt", "tokenizers/sentencepiece/botchan.txt"}) {
    const std::string text = read_file(assets / name).substr(0, 60000);
    for (size_t at = 0, end; at < text.size(); at = end + 1) {
      end = std::min(text.find('\n', at), text.size());
      if (find_invalid_utf8(text.substr(at, end - at)) == std::string::npos) texts.push_back(text.substr(at, end - at));
    }
  }
}

struct Counts {
  size_t texts = 0, ids = 0, special = 0, offsets = 0, decoded = 0;
};

void compare(const Pipeline& pipeline, const Json& texts, const Json& answers, Counts& counts) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    const Encoding got = pipeline.encode_with_offsets(text, true);
    std::vector<size_t> flat;
    for (const auto& [begin, end] : got.offsets) flat.insert(flat.end(), {begin, end});
    const bool ids = pipeline.encode(text, false) == answers[i][0].get<std::vector<int32_t>>();
    ++counts.texts;
    counts.ids += !ids;
    counts.special += got.ids != answers[i][1].get<std::vector<int32_t>>() || pipeline.encode(text, true) != got.ids;
    counts.offsets += flat != answers[i][2].get<std::vector<size_t>>();
    counts.decoded += pipeline.decode(got.ids, false) != answers[i][3].get<std::string>() ||
                      pipeline.decode(got.ids, true) != answers[i][4].get<std::string>();
    if (!ids && counts.ids == 1) ADD_FAILURE() << "first text that differs: " << texts[i].dump();
  }
}

TEST(Differential, EveryAssetTokenizerEqualsTheLibrary) {
  const char* assets = std::getenv("AUTOMODEL_ASSETS");
  const char* python = std::getenv("AUTOMODEL_ORACLES");
  if (!assets) GTEST_SKIP() << "AUTOMODEL_ASSETS is not set: no tokenizer was compared with the library";
  if (!python) GTEST_SKIP() << "AUTOMODEL_ORACLES is not set: no tokenizer was compared with the library";
  const uint64_t seed = std::random_device{}();
  fmt::print("seed {}\n", seed);
  const fs::path scratch = fs::temp_directory_path() / fmt::format("automodel-tokenizer-{}", seed);
  fs::create_directories(scratch);
  const fs::path texts_path = scratch / "texts.json", answers_path = scratch / "answers.json";
  size_t compared = 0;
  for (const fs::path& path : tokenizer_files_of(assets)) {
    std::shared_ptr<Pipeline> pipeline;
    std::vector<std::string> added;
    try {
      pipeline = load_pipeline(path);
      for (int32_t id = 0; id < pipeline->vocab_size(); ++id)
        if (pipeline->is_special(id)) added.push_back(*pipeline->id_to_token(id));
    } catch (const Error& error) {
      fmt::print("{}: {}\n", path.string(), error.what());
    }
    std::mt19937_64 random(seed);
    Json texts = Json::array();
    for (int i = 0; i < kFuzzed; ++i) texts.push_back(fuzz(random, added));
    add_real_text(assets, texts);
    write_file_atomically(texts_path, texts.dump());
    fs::remove(answers_path);
    const std::string command =
        fmt::format("'{}' '{}/tools/tokenizer_oracle.py' '{}' '{}' '{}'", python, AUTOMODEL_SOURCE_DIR, path.string(),
                    texts_path.string(), answers_path.string());
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    ASSERT_EQ(pipeline != nullptr, fs::exists(answers_path)) << path << ": one side loads the file, the other does not";
    if (!pipeline) continue;
    Counts counts;
    compare(*pipeline, texts, load_json(answers_path), counts);
    fmt::print("{}: {} texts; differing ids {}, with special {}, offsets {}, decoded {}\n",
               path.parent_path().filename().string() + "/" + path.filename().string(), counts.texts, counts.ids,
               counts.special, counts.offsets, counts.decoded);
    EXPECT_EQ(counts.ids + counts.special + counts.offsets + counts.decoded, 0u) << path << " seed " << seed;
    ++compared;
  }
  fs::remove_all(scratch);
  EXPECT_GE(compared, 10u);
}

TEST(Expected, ConvertedCasesHaveTheirIds) {
  const char* assets = std::getenv("AUTOMODEL_ASSETS");
  if (!assets) GTEST_SKIP() << "AUTOMODEL_ASSETS is not set: converted/tokenizer_expected.json was not compared";
  const Json all = load_json(fs::path(assets) / "converted/tokenizer_expected.json");
  const std::pair<const char*, const char*> kCases[] = {
      {"Xenova/gpt2", "gpt2/gpt2.json"},
      {"Xenova/Qwen1.5-0.5B-Chat", "npm-qwen2_5/tokenizer.json"},
      {"Xenova/clip-vit-base-patch16", "clip/tokenizer.json"},
      {"Xenova/bert-base-uncased", "bert-uncased/bert-base-uncased.json"},
      {"google-t5/t5-small", "t5-small/tokenizer.json"}};
  size_t compared = 0;
  for (const auto& [name, file] : kCases) {
    const auto pipeline = load_pipeline(fs::path(assets) / "tokenizers" / file);
    for (const auto& [title, c] : all[name].items()) {
      if (!c.contains("text") || !c["text"].is_string() || !c.contains("ids") || c.contains("text_pair")) continue;
      EXPECT_EQ(pipeline->encode(c["text"].get<std::string>(), true), c["ids"].get<std::vector<int32_t>>())
          << name << ": " << title;
      ++compared;
    }
  }
  EXPECT_GT(compared, 100u);
}

}  // namespace
}  // namespace automodel::tokenizer
