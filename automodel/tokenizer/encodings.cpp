#include "automodel/tokenizer/encodings.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"

namespace automodel::tokenizer {

namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

constexpr char kR50k[] = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)";
// {1,3} instead of {1,3}+, which means another thing to Oniguruma: nothing follows it, so the matches are the same.
constexpr char kCl100k[] =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)";
constexpr char kO200k[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kQwen[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr char kEndOfText[] = "<|endoftext|>";

}  // namespace

std::optional<EncodingRules> encoding_rules(const std::string& name) {
  EncodingRules rules{.pattern = kR50k, .special_tokens = {{kEndOfText, 50256}}, .end_token = kEndOfText};
  if (name == "gpt2" || name == "r50k_base" || name == "p50k_base") return rules;
  if (name == "cl100k_base") {
    rules.pattern = kCl100k;
    rules.special_tokens = {{kEndOfText, 100257},
                            {"<|fim_prefix|>", 100258},
                            {"<|fim_middle|>", 100259},
                            {"<|fim_suffix|>", 100260},
                            {"<|endofprompt|>", 100276}};
    return rules;
  }
  if (name == "o200k_base") {
    rules.pattern = kO200k;
    rules.special_tokens = {{kEndOfText, 199999}, {"<|endofprompt|>", 200018}};
    return rules;
  }
  if (name != "qwen") return std::nullopt;
  rules.pattern = kQwen;
  rules.nfc = true;
  rules.special_tokens = {{kEndOfText, 151643}, {"<|im_start|>", 151644}, {"<|im_end|>", 151645}};
  for (int32_t i = 0; i < 205; ++i) rules.special_tokens.push_back({fmt::format("<|extra_{}|>", i), 151646 + i});
  return rules;
}

Json byte_pair_parts(const std::string& pattern, const std::vector<std::string>& added) {
  const Json split = {
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  const auto bytes = [](bool trim) {
    return Json{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", trim}, {"use_regex", false}};
  };
  Json tokens = Json::array();
  for (const std::string& text : added)
    tokens.push_back({{"id", tokens.size()}, {"content", text}, {"normalized", false}, {"special", true}});
  return {{"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({split, bytes(true)})}}},
          {"post_processor", bytes(false)},
          {"decoder", bytes(true)},
          {"added_tokens", tokens}};
}

void fill_from_tekken(const TekkenFile& tekken, MergeOrder order, TokenizerFile& file, const std::string& where) {
  const auto specials = static_cast<int32_t>(tekken.special_tokens.size());
  for (int32_t id = 0; id < specials; ++id)
    if (!file.model.vocabulary.add(tekken.special_tokens[static_cast<size_t>(id)], id))
      throw DataError(
          where, fmt::format("the special token '{}' comes twice", tekken.special_tokens[static_cast<size_t>(id)]));
  fill_from_ranks(tekken.vocab, specials, order, file.model, where);
  file.rest = byte_pair_parts(tekken.pattern, tekken.special_tokens);
}

TokenizerFile read_encoding(const std::filesystem::path& path) {
  const std::string where = path.string(), name = path.stem().string();
  const std::optional<EncodingRules> rules = encoding_rules(name);
  if (!rules)
    throw UnsupportedError(where,
                           fmt::format("a tiktoken file holds ranks alone; the split pattern and the special tokens of "
                                       "'{}' are missing",
                                       name),
                           "known are gpt2, r50k_base, p50k_base, cl100k_base, o200k_base, qwen; else convert it with "
                           "transformers' TikTokenConverter, which writes tokenizer.json");
  const std::vector<RankedToken> ranks = parse_tiktoken(read_file(path, kMaxFileBytes), where);
  TokenizerFile file;
  std::vector<std::string> texts;
  for (const SpecialId& token : rules->special_tokens) {
    if (!file.model.vocabulary.add(token.text, token.id))
      throw DataError(where, fmt::format("the special token '{}' comes twice", token.text));
    texts.push_back(token.text);
  }
  fill_from_ranks(ranks, 0, MergeOrder::kTiktoken, file.model, where);
  file.rest = byte_pair_parts(rules->pattern, texts);
  if (!rules->nfc) return file;
  file.rest["normalizer"] = {{"type", "NFC"}};
  // Qwen-1 normalises a text before it looks for special tokens: "<|im_end|>" and U+0338 behind it become "<|im_end|"
  // and U+226F, which is no special token.
  for (Json& token : file.rest["added_tokens"]) token["normalized"] = true;
  return file;
}

static void name_token(Pipeline& pipeline, const char* text, std::string& token, std::optional<int32_t>& id) {
  id = pipeline.token_to_id(text);
  if (id) token = text;
}

std::shared_ptr<Pipeline> load_encoding(const std::filesystem::path& path) {
  const std::string where = path.string();
  if (path.extension() == ".tiktoken") {
    auto pipeline = std::make_shared<Pipeline>(read_encoding(path), where);
    name_token(*pipeline, encoding_rules(path.stem().string())->end_token.c_str(), pipeline->eos_token,
               pipeline->eos_id);
    return pipeline;
  }
  if (path.filename().string().find("tekken") == std::string::npos) return load_pipeline(path);
  TokenizerFile file;
  fill_from_tekken(parse_tekken(read_file(path, kMaxFileBytes), where), MergeOrder::kTiktoken, file, where);
  auto pipeline = std::make_shared<Pipeline>(std::move(file), where);
  name_token(*pipeline, "<s>", pipeline->bos_token, pipeline->bos_id);
  name_token(*pipeline, "</s>", pipeline->eos_token, pipeline->eos_id);
  name_token(*pipeline, "<pad>", pipeline->pad_token, pipeline->pad_id);
  if (pipeline->bos_id) pipeline->set_post_processor(PostProcessor::make_template(*pipeline->bos_id, -1));
  return pipeline;
}

}  // namespace automodel::tokenizer
