#include "automodel/tokenizer/encoder_rules.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/further_classes.h"

namespace automodel::tokenizer {

namespace {

constexpr char kMark[] = "\u2581";

bool is_word_piece(const std::string& name) { return name == "BertTokenizer" || name == "MPNetTokenizer"; }
bool is_byte_level(const std::string& name) { return name == "RobertaTokenizer" || name == "DebertaTokenizer"; }
bool is_unigram(const std::string& name) { return name == "T5Tokenizer" || name == "XLMRobertaTokenizer"; }

std::string unknown_token(const Json& config, const char* otherwise) {
  const auto found = config.find("unk_token");
  if (found == config.end()) return otherwise;
  if (found->is_object()) return text_member(*found, "content", "unk_token");
  return found->is_string() ? found->get<std::string>() : otherwise;
}

void set_word_piece(const Json& config, Json& rest, Json& settings, const std::string& where) {
  const auto accents = config.find("strip_accents");
  rest["normalizer"] = {{"type", "BertNormalizer"},
                        {"clean_text", true},
                        {"handle_chinese_chars", flag_member(config, "tokenize_chinese_chars", where, true)},
                        {"strip_accents", accents == config.end() ? Json() : *accents},
                        {"lowercase", flag_member(config, "do_lower_case", where, true)}};
  rest["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  rest["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  settings = {{"type", "WordPiece"},
              {"unk_token", unknown_token(config, "[UNK]")},
              {"continuing_subword_prefix", "##"},
              {"max_input_chars_per_word", 100}};
}

void set_byte_level(const Json& config, Json& rest, Json& settings, const std::string& where) {
  const bool prefix = flag_member(config, "add_prefix_space", where, false);
  rest["normalizer"] = nullptr;
  rest["pre_tokenizer"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"trim_offsets", true}, {"use_regex", true}};
  rest["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  settings = {{"type", "BPE"}, {"unk_token", nullptr}, {"fuse_unk", false}, {"byte_fallback", false}};
}

// The first Precompiled step of a normalizer.
Json find_charsmap(const Json& normalizer) {
  if (!normalizer.is_object()) return nullptr;
  if (normalizer.value("type", "") == "Precompiled") return normalizer;
  if (normalizer.value("type", "") == "Sequence" && normalizer.contains("normalizers"))
    for (const Json& step : normalizer["normalizers"])
      if (step.is_object() && step.value("type", "") == "Precompiled") return step;
  return nullptr;
}

void set_unigram(const std::string& name, const Json& config, Json& rest, Json& settings, const std::string& where) {
  const bool prefix = name == "T5Tokenizer" || flag_member(config, "add_prefix_space", where, true);
  const Json metaspace = {
      {"type", "Metaspace"}, {"replacement", kMark}, {"prepend_scheme", prefix ? "always" : "never"}, {"split", true}};
  rest["normalizer"] = find_charsmap(rest.value("normalizer", Json()));
  rest["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", Json::array({{{"type", "WhitespaceSplit"}}, metaspace})}};
  rest["decoder"] = metaspace;
  settings = {{"type", "Unigram"}, {"unk_id", name == "T5Tokenizer" ? 2 : 3}, {"byte_fallback", false}};
}

Json template_of(const std::string& before, std::optional<int32_t> before_id, const std::string& after, int32_t id) {
  const auto special = [](const std::string& text) { return Json{{"SpecialToken", {{"id", text}, {"type_id", 0}}}}; };
  const auto known = [](const std::string& text, int32_t value) {
    return Json{{"id", text}, {"ids", Json::array({static_cast<uint32_t>(value)})}, {"tokens", Json::array({text})}};
  };
  Json single = Json::array(), tokens = Json::object();
  if (before_id) {
    single.push_back(special(before));
    tokens[before] = known(before, *before_id);
  }
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  single.push_back(special(after));
  tokens[after] = known(after, id);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", tokens}};
}

}  // namespace

bool apply_encoder_class(const std::string& name, const Json& config, TokenizerFile& file, const std::string& where) {
  const char* type = is_word_piece(name)   ? "WordPiece"
                     : is_byte_level(name) ? "BPE"
                     : is_unigram(name)    ? "Unigram"
                                           : "";
  if (!*type) return false;
  if (const std::string given = model_type(file.model, where); given != type)
    throw DataError(where, fmt::format("{} needs a {} model, the file holds a {}", name, type, given),
                    "remove 'tokenizer_class' to use the file as it is");
  file.rest["added_tokens"] = Json::array();
  if (is_word_piece(name)) set_word_piece(config, file.rest, file.model.settings, where);
  if (is_byte_level(name)) set_byte_level(config, file.rest, file.model.settings, where);
  if (is_unigram(name)) set_unigram(name, config, file.rest, file.model.settings, where);
  return true;
}

Json default_encoder_tokens(const std::string& name) {
  if (name == "BertTokenizer")
    return {{"unk_token", "[UNK]"},
            {"sep_token", "[SEP]"},
            {"pad_token", "[PAD]"},
            {"cls_token", "[CLS]"},
            {"mask_token", "[MASK]"}};
  if (name == "DebertaTokenizer")
    return {{"bos_token", "[CLS]"}, {"eos_token", "[SEP]"}, {"unk_token", "[UNK]"},  {"sep_token", "[SEP]"},
            {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"}, {"mask_token", "[MASK]"}};
  if (name == "T5Tokenizer") return {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  if (name != "RobertaTokenizer" && name != "XLMRobertaTokenizer" && name != "MPNetTokenizer") return Json::object();
  Json tokens = {{"bos_token", "<s>"},   {"eos_token", "</s>"}, {"unk_token", "<unk>"},  {"sep_token", "</s>"},
                 {"pad_token", "<pad>"}, {"cls_token", "<s>"},  {"mask_token", "<mask>"}};
  if (name != "MPNetTokenizer") return tokens;
  tokens["unk_token"] = "[UNK]";
  const auto added = [](const Json& text, bool lstrip) {
    return Json{
        {"content", text}, {"lstrip", lstrip}, {"rstrip", false}, {"single_word", false}, {"normalized", false}};
  };
  for (auto& [key, text] : tokens.items()) text = added(text, key == "mask_token");
  return tokens;
}

std::optional<Json> class_post_processor(const std::string& name, const Json& config, bool has,
                                         const std::function<std::string(const char*)>& token,
                                         const std::function<std::optional<int32_t>(std::string_view)>& id,
                                         const std::string& where) {
  const auto known = [&](const std::string& text, const char* key) {
    const std::optional<int32_t> found = id(text);
    if (!found) throw DataError(where, fmt::format("'{}' ('{}') has no id", key, text));
    return *found;
  };
  if (is_further_class(name))
    return further_post_processor(name, config, has, token,
                                  [&](const std::string& text) { return known(text, "a token of the class"); });
  const std::string cls = token("cls_token"), sep = token("sep_token"), bos = token("bos_token"),
                    eos = token("eos_token");
  if (name == "T5Tokenizer") return template_of("", std::nullopt, eos, known(eos, "eos_token"));
  if (name == "XLMRobertaTokenizer") return template_of(bos, known(bos, "bos_token"), eos, known(eos, "eos_token"));
  if (name == "BertTokenizer" || name == "DebertaTokenizer")
    return template_of(cls, known(cls, "cls_token"), sep, known(sep, "sep_token"));
  if (name != "RobertaTokenizer" && name != "MPNetTokenizer") return std::nullopt;
  const bool roberta = name == "RobertaTokenizer";
  return Json{{"type", "RobertaProcessing"},
              {"sep", Json::array({sep, static_cast<uint32_t>(known(sep, "sep_token"))})},
              {"cls", Json::array({cls, static_cast<uint32_t>(known(cls, "cls_token"))})},
              {"trim_offsets", flag_member(roberta ? config : Json::object(), "trim_offsets", where, true)},
              {"add_prefix_space", flag_member(roberta ? config : Json::object(), "add_prefix_space", where, false)}};
}

}  // namespace automodel::tokenizer
