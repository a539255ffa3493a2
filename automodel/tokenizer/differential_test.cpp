// Every tokenizer of the assets and every format that is read, against the Python library it belongs to: fuzzed Unicode
// of a fresh seed and real text.
//
// Needs AUTOMODEL_ASSETS (the files) and AUTOMODEL_ORACLES (a Python with the libraries of tools/oracles.lock); skips
// by name without them. AUTOMODEL_FUZZED is the number of fuzzed texts for each tokenizer (tools/compare_tokenizers:
// 20000), AUTOMODEL_FUZZ_SEED repeats a run, AUTOMODEL_ONLY takes the titles that hold this text.
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
#include "automodel/tokenizer/differential_texts.h"
#include "automodel/tokenizer/pipeline.h"

namespace automodel::tokenizer {
namespace {

namespace fs = std::filesystem;
const fs::path kSources = fs::path(AUTOMODEL_SOURCE_DIR) / "automodel/tokenizer/testdata/sources";

struct Counts {
  size_t texts = 0, ids = 0, special = 0, offsets = 0, decoded = 0;
  bool shown = false;
};

void compare(const Tokenizer& tokenizer, const Json& texts, const Json& answers, Counts& counts) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    const Json& answer = answers[i];
    const Encoding got = tokenizer.encode_with_offsets(text, true);
    std::vector<size_t> flat;
    for (const auto& [begin, end] : got.offsets) flat.insert(flat.end(), {begin, end});
    const bool ids = tokenizer.encode(text, false) == answer[0].get<std::vector<int32_t>>();
    const bool offsets = answer[2].is_null() || flat == answer[2].get<std::vector<size_t>>();
    const bool decoded = (answer[3].is_null() || tokenizer.decode(got.ids, false) == answer[3].get<std::string>()) &&
                         (answer[4].is_null() || tokenizer.decode(got.ids, true) == answer[4].get<std::string>());
    ++counts.texts;
    counts.ids += !ids;
    counts.special += got.ids != answer[1].get<std::vector<int32_t>>() || tokenizer.encode(text, true) != got.ids;
    counts.offsets += !offsets;
    counts.decoded += !decoded;
    if ((!ids || !offsets || !decoded) && !counts.shown)
      ADD_FAILURE() << "first text that differs: " << texts[i].dump();
    counts.shown |= !ids || !offsets || !decoded;
  }
}

// One run: a seed, a scratch folder, the judge.
class Comparison {
 public:
  Comparison(const char* assets, const char* python) : assets_(assets), python_(python) {
    const char* seed = std::getenv("AUTOMODEL_FUZZ_SEED");
    if (const char* only = std::getenv("AUTOMODEL_ONLY")) only_ = only;
    seed_ = seed ? std::strtoull(seed, nullptr, 10) : std::random_device{}();
    fmt::print("seed {}\n", seed_);
    scratch_ = fs::temp_directory_path() / fmt::format("automodel-tokenizer-{}", seed_);
    fs::create_directories(scratch_);
  }
  ~Comparison() { fs::remove_all(scratch_); }

  /// `kind` as tools/tokenizer_oracle.py takes it.
  void run(const std::string& kind, const fs::path& place, const std::string& title, int fuzzed) {
    const char* wanted = std::getenv("AUTOMODEL_FUZZED");
    if (title.find(only_) == std::string::npos) {
      ++titles_, ++left_out_;
      return;
    }
    // transformers takes seconds to start for each folder: a run takes a sixth of them, another one with each seed.
    if (kind == "auto" && !wanted && (seed_ + titles_) % 6 != 0) {
      ++titles_, ++left_out_;
      return;
    }
    const bool takes_control_for_text = kind == "tekken" || kind == "mistral";  // mistral-common: we find it there
    std::shared_ptr<const Tokenizer> tokenizer;
    std::vector<std::string> added;
    try {
      if (kind == "library")
        tokenizer = load_pipeline(place);
      else
        tokenizer = load(place);
      // CodeLlamaTokenizer cuts a text at <FILL_ME> into two before anything else: not a matter of tokens.
      for (int32_t id = 0; id < tokenizer->vocab_size() && !takes_control_for_text; ++id)
        if (tokenizer->is_special(id) && *tokenizer->id_to_token(id) != "<FILL_ME>")
          added.push_back(*tokenizer->id_to_token(id));
    } catch (const Error& error) {
      fmt::print("{}: {}\n", title, error.what());
    }
    std::mt19937_64 random(seed_ + titles_++);
    Json texts = Json::array();
    for (int i = wanted ? std::atoi(wanted) : fuzzed; i > 0; --i) {
      const std::string text = fuzzed_text(random, added);
      if (!takes_control_for_text || text.find_first_of("<[") == std::string::npos) texts.push_back(text);
    }
    for (const std::string& text : real_texts(assets_, wanted ? size_t{1} << 22 : 60000)) texts.push_back(text);
    judge(kind, place, title, texts, tokenizer.get());
  }

  fs::path folder(const std::string& name) const {
    fs::remove_all(scratch_ / name);
    fs::create_directories(scratch_ / name);
    return scratch_ / name;
  }
  const fs::path& assets() const { return assets_; }
  size_t compared() const { return compared_; }
  size_t left_out() const { return left_out_; }  // of this run: tools/compare_tokenizers takes all
  // How many must have been compared: as many as `all`, unless only some were asked for.
  size_t at_least(size_t all) const { return only_.empty() ? all : 0; }

 private:
  void judge(const std::string& kind, const fs::path& place, const std::string& title, const Json& texts,
             const Tokenizer* tokenizer) {
    const fs::path texts_path = scratch_ / "texts.json", answers_path = scratch_ / "answers.json";
    write_file_atomically(texts_path, texts.dump());
    fs::remove(answers_path);
    const std::string command =
        fmt::format("'{}' '{}/tools/tokenizer_oracle.py' {} '{}' '{}' '{}' 2>'{}'", python_, AUTOMODEL_SOURCE_DIR, kind,
                    place.string(), texts_path.string(), answers_path.string(), (scratch_ / "stderr").string());
    ASSERT_EQ(std::system(command.c_str()), 0) << command << "\n" << read_file(scratch_ / "stderr");
    ASSERT_EQ(tokenizer != nullptr, fs::exists(answers_path)) << title << ": one side loads it, the other does not";
    if (!tokenizer) return;
    Counts counts;
    const Json answers = load_json(answers_path);
    compare(*tokenizer, texts, answers, counts);
    fmt::print("{} {}: {} texts; differing ids {}, with special {}, offsets {}, decoded {}\n", kind, title,
               counts.texts, counts.ids, counts.special, counts.offsets, counts.decoded);
    std::fflush(stdout);
    EXPECT_EQ(counts.ids + counts.special + counts.offsets + counts.decoded, 0u) << title << " seed " << seed_;
    ++compared_;
  }

  fs::path assets_, scratch_;
  std::string python_, only_;
  uint64_t seed_ = 0, titles_ = 0;
  size_t compared_ = 0, left_out_ = 0;
};

#define COMPARISON_OR_SKIP()                                                                               \
  const char* assets = std::getenv("AUTOMODEL_ASSETS");                                                    \
  const char* python = std::getenv("AUTOMODEL_ORACLES");                                                   \
  if (!assets) GTEST_SKIP() << "AUTOMODEL_ASSETS is not set: no tokenizer was compared with the library";  \
  if (!python) GTEST_SKIP() << "AUTOMODEL_ORACLES is not set: no tokenizer was compared with the library"; \
  Comparison comparison(assets, python)

TEST(Differential, EveryAssetTokenizerEqualsTheLibrary) {
  COMPARISON_OR_SKIP();
  std::set<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(assets) / "tokenizers"))
    if (entry.path().extension() == ".json" && entry.path().filename().string().find("config") == std::string::npos) {
      const std::string text = read_file(entry.path());
      if (text.find("\"model\"") != std::string::npos && text.find("\"vocab\"") != std::string::npos)
        found.insert(entry.path());
    }
  for (const fs::path& path : found)
    comparison.run("library", path, path.parent_path().filename().string() + "/" + path.filename().string(), 2000);
  EXPECT_GE(comparison.compared(), comparison.at_least(10));
}

TEST(Differential, EveryGoldenFolderEqualsAutoTokenizer) {
  COMPARISON_OR_SKIP();
  const Json golden = load_json(kSources / "cases.json");
  for (const Json& setup : golden["setups"]) {
    if (setup["kind"] != "auto" && setup["kind"] != "mistral") {
      const auto file = setup["file"].get<std::string>();
      comparison.run(setup["kind"].get<std::string>(), kSources / file, file, 300);
      continue;
    }
    const fs::path folder = comparison.folder("golden");
    for (const auto& [name, content] : setup["files"].items()) {
      if (content.is_string())
        fs::copy_file(kSources / content.get<std::string>(), folder / name);
      else
        write_file_atomically(folder / name, content.dump());
    }
    if (!setup["config"].is_null()) write_file_atomically(folder / "tokenizer_config.json", setup["config"].dump());
    if (!setup["model_type"].is_null())
      write_file_atomically(folder / "config.json", Json{{"model_type", setup["model_type"]}}.dump());
    comparison.run(setup["kind"].get<std::string>(), folder, setup["files"].dump() + " " + setup["config"].dump(), 300);
  }
  EXPECT_GE(comparison.compared() + comparison.left_out(), 30u);
  EXPECT_GE(comparison.compared(), comparison.at_least(5));
}

// Files of the assets as a folder of some model type would hold them.
struct AssetFolder {
  std::vector<std::pair<const char*, const char*>> files;  // of the assets -> in the folder
  const char* model_type;
  const char* config;  // "": none
};

TEST(Differential, AssetFilesInFoldersEqualAutoTokenizer) {
  COMPARISON_OR_SKIP();
  constexpr const char* kLlama = R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": true})";
  const AssetFolder kFolders[] = {
      {{{"mistral/tokenizer.model.v1", "tokenizer.model"}}, "llama", kLlama},
      {{{"mistral/mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model"}}, "mistral", kLlama},
      {{{"mistral/mistral_instruct_tokenizer_241114.model.v7", "tokenizer.model"}}, "llama", kLlama},
      {{{"mistral/tokenizer.model.v1", "tokenizer.model"}}, "gemma", R"({"tokenizer_class": "GemmaTokenizer"})"},
      {{{"torchtune-tiny/m.model", "tokenizer.model"}}, "llama", kLlama},
      {{{"torchtune-tiny/sentencepiece.model", "spiece.model"}}, "t5", ""},
      {{{"sentencepiece/test_model.model", "spiece.model"}}, "t5", R"({"tokenizer_class": "T5Tokenizer"})"},
      {{{"sentencepiece/test_ja_model.model", "tokenizer.model"}}, "llama", "{}"},
      {{{"sentencepiece/test_ja_model.model", "sentencepiece.bpe.model"}}, "xlm-roberta", ""},
      {{{"nmt/vocab.joint.spm", "tokenizer.model"}}, "internlm2", ""},
      {{{"torchtune-tiny/tiktoken_small.model", "tokenizer.model"}}, "llama", ""},
      {{{"torchtune-tiny/tiktoken_small_llama4.model", "tokenizer.model"}}, "llama4", ""},
      {{{"tiktoken/cl100k_base.tiktoken", "tokenizer.model"}}, "llama", R"({"extra_special_tokens": ["<|eot_id|>"]})"},
      {{{"tiktoken/o200k_base.tiktoken", "tiktoken.model"}}, "llama", ""},
      {{{"gpt2/gpt2.vocab", "vocab.json"}, {"gpt2/gpt2.merges.txt", "merges.txt"}}, "gpt2", ""},
      {{{"gpt2/gpt2.vocab", "vocab.json"}, {"gpt2/gpt2.merges.txt", "merges.txt"}}, "roberta", ""},
      {{{"torchtune-tiny/tiny_bpe_vocab.json", "vocab.json"}, {"torchtune-tiny/tiny_bpe_merges.txt", "merges.txt"}},
       "qwen2",
       R"({"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>"})"},
      {{{"bert-uncased/bert-base-uncased.json", "tokenizer.json"}}, "bert", ""},
      {{{"t5-small/tokenizer.json", "tokenizer.json"}, {"t5-small/tokenizer_config.json", "tokenizer_config.json"}},
       "t5",
       ""},
      {{{"roberta-base/tokenizer.json", "tokenizer.json"}}, "roberta", ""},
      {{{"npm-qwen3/tokenizer.json", "tokenizer.json"}, {"npm-qwen3/tokenizer_config.json", "tokenizer_config.json"}},
       "qwen3",
       ""},
      {{{"npm-deepseek_v3/tokenizer.json", "tokenizer.json"},
        {"npm-deepseek_v3/tokenizer_config.json", "tokenizer_config.json"}},
       "deepseek_v3",
       ""},
      {{{"phi-3/tokenizer.json", "tokenizer.json"}, {"phi-3/tokenizer_config.json", "tokenizer_config.json"}},
       "phi3",
       ""},
      {{{"phi-3-mini/tokenizer.json", "tokenizer.json"}, {"phi-3-mini/tokenizer_config.json", "tokenizer_config.json"}},
       "llama",
       ""}};
  for (const AssetFolder& one : kFolders) {
    const fs::path folder = comparison.folder("asset");
    for (const auto& [from, to] : one.files) fs::copy_file(fs::path(assets) / "tokenizers" / from, folder / to);
    if (*one.config) write_file_atomically(folder / "tokenizer_config.json", one.config);
    write_file_atomically(folder / "config.json", Json{{"model_type", one.model_type}}.dump());
    comparison.run("auto", folder, fmt::format("{} as {}", one.files[0].first, one.model_type), 300);
  }
  EXPECT_EQ(comparison.compared() + comparison.left_out(), std::size(kFolders));
  EXPECT_GE(comparison.compared(), comparison.at_least(std::size(kFolders) / 6));
}

TEST(Differential, SingleFilesEqualTheirLibraries) {
  COMPARISON_OR_SKIP();
  const fs::path tokenizers = fs::path(assets) / "tokenizers";
  for (const char* name :
       {"mistral/tokenizer.model.v1", "mistral/mistral_instruct_tokenizer_240216.model.v2",
        "mistral/mistral_instruct_tokenizer_240323.model.v3", "mistral/mistral_instruct_tokenizer_241114.model.v7",
        "torchtune-tiny/m.model", "torchtune-tiny/sentencepiece.model", "sentencepiece/test_model.model",
        "sentencepiece/test_ja_model.model", "nmt/vocab.joint.spm"}) {
    const fs::path file = comparison.folder("sentencepiece") / "one.model";
    fs::copy_file(tokenizers / name, file);
    comparison.run("sentencepiece", file, name, 300);
    if (!fs::path(name).extension().string().starts_with(".v")) continue;
    const fs::path folder = comparison.folder("mistral");
    fs::copy_file(tokenizers / name, folder / fs::path(name).filename());
    comparison.run("mistral", folder, std::string(name) + " in a folder", 300);
  }
  for (const char* name : {"gpt2", "r50k_base", "p50k_base", "cl100k_base", "o200k_base", "qwen"})
    comparison.run("tiktoken", tokenizers / fmt::format("tiktoken/{}.tiktoken", name), name, 300);
  EXPECT_EQ(comparison.compared() + comparison.left_out(), 19u);
  EXPECT_GE(comparison.compared(), comparison.at_least(19));
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
