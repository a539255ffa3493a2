#include "automodel/tokenizer/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/tokenizer/class_rules.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/encodings.h"
#include "automodel/tokenizer/rank_file.h"
#include "automodel/tokenizer/sentencepiece_convert.h"
#include "automodel/tokenizer/vocabulary_files.h"

namespace automodel::tokenizer {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

constexpr char kLibraryPattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// The extra special tokens that tokenizer_config.json names, under either key.
std::vector<std::string> extra_tokens(const Json& config) {
  std::vector<std::string> texts;
  for (const char* key : {"extra_special_tokens", "additional_special_tokens"}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_array()) continue;
    for (const Json& token : *found)
      if (token.is_string() || token.is_object())
        texts.push_back(token.is_string() ? token.get<std::string>() : text_member(token, "content", key));
    break;
  }
  return texts;
}

// The tokens behind the ranks: those of added_tokens_decoder by id, with placeholders between, then the extra ones.
std::vector<std::string> tokens_behind_ranks(const Json& config, size_t ranks, const std::string& where) {
  std::vector<std::string> extra = extra_tokens(config);
  const auto decoder = config.find("added_tokens_decoder");
  if (decoder == config.end() || !decoder->is_object()) return extra;
  std::vector<std::pair<size_t, std::string>> added;
  size_t end = 0;
  for (const auto& [id, token] : decoder->items()) {
    if (id.empty() || id.size() > 7 || id.find_first_not_of("0123456789") != std::string::npos)
      throw DataError(where, fmt::format("'added_tokens_decoder' has the key '{}', which is no id", id));
    added.emplace_back(std::stoul(id), text_member(token, "content", where));
    end = std::max(end, added.back().first + 1);
  }
  if (end <= ranks) return extra;
  std::vector<std::string> texts;
  for (size_t id = ranks; id < end; ++id) texts.push_back(fmt::format("<|reserved_token_{}|>", id));
  for (const auto& [id, text] : added)
    if (id >= ranks) texts[id - ranks] = text;
  for (const std::string& text : extra)
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  return texts;
}

Source from_tiktoken(const fs::path& path, const std::string& text, const Json& config) {
  Source source;
  source.path = path;
  source.whole = true;
  const std::vector<RankedToken> ranks = parse_tiktoken(text, path.string());
  fill_from_ranks(ranks, 0, MergeOrder::kLibrary, source.file.model, path.string());
  source.file.rest = byte_pair_parts(kLibraryPattern, tokens_behind_ranks(config, ranks.size(), path.string()));
  return source;
}

Source from_tekken(const fs::path& path) {
  Source source;
  source.path = path;
  source.whole = true;
  fill_from_tekken(parse_tekken(read_file(path, kMaxFileBytes), path.string()), MergeOrder::kLibrary, source.file,
                   path.string());
  for (const auto& [key, text] : {std::pair("bos_token", "<s>"), std::pair("eos_token", "</s>"),
                                  std::pair("pad_token", "<pad>"), std::pair("unk_token", "<unk>")})
    if (source.file.model.vocabulary.find(text) >= 0) source.named[key] = text;
  return source;
}

Source from_encoding(const fs::path& path) {
  Source source;
  source.path = path;
  source.whole = true;
  source.file = read_encoding(path);
  source.named["eos_token"] = encoding_rules(path.stem().string())->end_token;
  return source;
}

Source from_vocabulary(const fs::path& folder, const std::string& name) {
  Source source;
  const bool words = name == "BertTokenizer" || name == "MPNetTokenizer";
  source.path = folder / (words ? "vocab.txt" : "vocab.json");
  const std::string where = source.path.string();
  const std::string text = read_file(source.path, kMaxFileBytes);
  source.file.rest = Json::object();
  source.file.model.settings = {{"type", words ? "WordPiece" : "BPE"}};
  if (words) {
    read_vocab_txt(text, where, source.file.model);
    return source;
  }
  read_vocab_json(text, where, source.file.model);
  const fs::path merges = folder / "merges.txt";
  if (!fs::exists(merges)) throw DataError(folder.string(), "holds vocab.json, but no merges.txt");
  read_merges_txt(read_file(merges, kMaxFileBytes), merges.string(), source.file.model);
  return source;
}

[[noreturn]] void nothing_to_read(const fs::path& folder, const std::string& name) {
  const std::string hint =
      "say in tokenizer_config.json which 'tokenizer_class' it is, or save the tokenizer with transformers' "
      "save_pretrained(), which writes tokenizer.json";
  std::string found;
  for (const char* file : {"vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model"})
    if (fs::exists(folder / file)) found += found.empty() ? file : fmt::format(", {}", file);
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".tiktoken")
      found += (found.empty() ? "" : ", ") + entry.path().filename().string();
  if (found.empty())
    throw DataError(folder.string(), "holds no tokenizer: no tokenizer.json, tokenizer.model, tekken.json, ...");
  throw UnsupportedError(folder.string(),
                         fmt::format("holds {}, but the class {} does not say how to read it", found, name), hint);
}

}  // namespace

Source read_source(const fs::path& folder, const std::string& name, const Json& config) {
  if (!fs::is_directory(folder)) throw DataError(folder.string(), "is no folder with a tokenizer");
  if (fs::exists(folder / "tokenizer.json")) {
    Source source;
    source.path = folder / "tokenizer.json";
    source.file = read_tokenizer_file(source.path);
    source.is_tokenizer_json = true;
    return source;
  }
  if (fs::exists(folder / "tekken.json")) return from_tekken(folder / "tekken.json");
  const char* own = name == "T5Tokenizer"           ? "spiece.model"
                    : name == "XLMRobertaTokenizer" ? "sentencepiece.bpe.model"
                                                    : "tokenizer.model";
  for (const char* file : {"tokenizer.model", "tiktoken.model", own}) {
    const fs::path path = folder / file;
    if (!fs::exists(path)) continue;
    const std::string bytes = read_file(path, kMaxFileBytes);
    if (std::string(file) == "tiktoken.model" || !looks_like_sentencepiece(bytes))
      return from_tiktoken(path, bytes, config);
    return from_sentencepiece(path, parse_sentencepiece(bytes, path.string()), name, config);
  }
  const bool words = name == "BertTokenizer" || name == "MPNetTokenizer";
  const bool pairs = name == "GPT2Tokenizer" || name == "GPTNeoXTokenizer" || name == "CohereTokenizer" ||
                     name == "Qwen2Tokenizer" || name == "RobertaTokenizer" || name == "DebertaTokenizer";
  if ((words && fs::exists(folder / "vocab.txt")) || (pairs && fs::exists(folder / "vocab.json")))
    return from_vocabulary(folder, name);
  std::vector<fs::path> encodings;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".tiktoken") encodings.push_back(entry.path());
  if (encodings.size() == 1) return from_encoding(encodings[0]);
  nothing_to_read(folder, name);
}

}  // namespace automodel::tokenizer
