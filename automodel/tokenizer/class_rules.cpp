#include "automodel/tokenizer/class_rules.h"

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/encoder_rules.h"
#include "automodel/tokenizer/further_classes.h"

namespace automodel::tokenizer {

namespace {

constexpr char kQwen2[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kQwen35[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json byte_level(bool add_prefix_space, bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json pattern_then_bytes(const char* expression, bool add_prefix_space) {
  const Json split = {
      {"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level(add_prefix_space, false)})}};
}

Json space_replace(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Json sentencepiece_decoder(bool strip) {
  Json decoders = Json::array({space_replace("\u2581", " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (strip) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", decoders}};
}

Json bpe_settings(Json unknown, bool fuse, bool fallback) {
  return {{"type", "BPE"}, {"unk_token", std::move(unknown)}, {"fuse_unk", fuse}, {"byte_fallback", fallback}};
}

std::string token_text(const Json& config, const char* key, const char* otherwise) {
  const auto found = config.find(key);
  if (found == config.end()) return otherwise;
  if (found->is_string()) return found->get<std::string>();
  return found->is_object() ? text_member(*found, "content", key) : otherwise;
}

void set_sentencepiece(const std::string& name, const Json& config, Json& rest, Json& settings,
                       const std::string& where) {
  if (name == "GemmaTokenizer") {
    rest["normalizer"] = space_replace(" ", "\u2581");
    rest["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}};
    rest["decoder"] = sentencepiece_decoder(false);
    settings = bpe_settings(token_text(config, "unk_token", "<unk>"), true, true);
    return;
  }
  const bool prefix = flag_member(config, "add_prefix_space", where, true), code = name == "CodeLlamaTokenizer";
  const bool legacy = !code && flag_member(config, "legacy", where, false);
  rest["normalizer"] = nullptr;
  rest["pre_tokenizer"] = {{"type", "Metaspace"},
                           {"replacement", "\u2581"},
                           {"prepend_scheme", !prefix  ? "never"
                                              : legacy ? "always"
                                                       : "first"},
                           {"split", false}};
  rest["decoder"] = sentencepiece_decoder(prefix || code);
  settings = bpe_settings(code ? Json(token_text(config, "unk_token", "<unk>")) : Json(), true, true);
}

}  // namespace

void apply_class(const std::string& name, const Json& config, TokenizerFile& file, const std::string& where) {
  if (!rebuilds(name)) return;
  if (apply_encoder_class(name, config, file, where) || apply_further_class(name, config, file, where)) return;
  if (!file.model.has_merges)
    throw DataError(where, name + " needs a BPE model", "remove 'tokenizer_class' to use the file as it is");
  Json& rest = file.rest;
  Json& settings = file.model.settings;
  rest["added_tokens"] = Json::array();
  if (name == "LlamaTokenizer" || name == "CodeLlamaTokenizer" || name == "GemmaTokenizer")
    return set_sentencepiece(name, config, rest, settings, where);
  const bool prefix = flag_member(config, "add_prefix_space", where, false);
  rest["decoder"] = byte_level(true, true);
  settings = bpe_settings(nullptr, false, false);
  rest["normalizer"] = name == "GPT2Tokenizer" ? Json() : Json{{"type", "NFC"}};
  if (name == "Qwen2Tokenizer")
    rest["pre_tokenizer"] = pattern_then_bytes(kQwen2, prefix);
  else if (name == "Qwen3_5Tokenizer")
    rest["pre_tokenizer"] = pattern_then_bytes(kQwen35, prefix);
  else
    rest["pre_tokenizer"] = byte_level(prefix, true);
  if (name == "GPTNeoXTokenizer") rest["post_processor"] = nullptr;
  if (name == "CohereTokenizer")
    rest["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers", Json::array({{{"type", "Digits"}, {"individual_digits", true}}, byte_level(prefix, true)})}};
}

Json default_tokens(const std::string& name) {
  constexpr char kEnd[] = "<|endoftext|>";
  if (name == "LlamaTokenizer") return {{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}};
  if (name == "CodeLlamaTokenizer")
    return {{"unk_token", "<unk>"},          {"bos_token", "<s>"},
            {"eos_token", "</s>"},           {"prefix_token", "\u2581<PRE>"},
            {"middle_token", "\u2581<MID>"}, {"suffix_token", "\u2581<SUF>"},
            {"eot_token", "\u2581<EOT>"},    {"fill_token", "<FILL_ME>"}};
  if (name == "GemmaTokenizer")
    return {{"unk_token", "<unk>"},
            {"bos_token", "<bos>"},
            {"eos_token", "<eos>"},
            {"pad_token", "<pad>"},
            {"mask_token", "<mask>"}};
  if (name == "Qwen2Tokenizer" || name == "Qwen3_5Tokenizer")
    return {{"unk_token", kEnd}, {"eos_token", kEnd}, {"pad_token", kEnd}};
  if (name == "GPT2Tokenizer") return {{"unk_token", kEnd}, {"bos_token", kEnd}, {"eos_token", kEnd}};
  if (name == "GPTNeoXTokenizer")
    return {{"unk_token", kEnd}, {"bos_token", kEnd}, {"eos_token", kEnd}, {"pad_token", "<|padding|>"}};
  if (name == "CohereTokenizer")
    return {{"unk_token", "<UNK>"},        {"bos_token", "<BOS_TOKEN>"}, {"eos_token", "<|END_OF_TURN_TOKEN|>"},
            {"pad_token", "<PAD>"},        {"cls_token", "<CLS>"},       {"sep_token", "<SEP>"},
            {"mask_token", "<MASK_TOKEN>"}};
  return is_further_class(name) ? default_further_tokens(name) : default_encoder_tokens(name);
}

}  // namespace automodel::tokenizer
