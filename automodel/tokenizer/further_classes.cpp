#include "automodel/tokenizer/further_classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"

namespace automodel::tokenizer {

namespace {

constexpr char kMark[] = "\u2581", kWordEnd[] = "</w>";
constexpr char kClip[] =
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

struct FurtherClass {
  std::string_view name;
  const char* model;
};
constexpr FurtherClass kFurther[] = {
    {"AlbertTokenizer", "Unigram"},   {"BarthezTokenizer", "Unigram"},   {"BlenderbotTokenizer", "BPE"},
    {"CLIPTokenizer", "BPE"},         {"CamembertTokenizer", "Unigram"}, {"DebertaV2Tokenizer", "Unigram"},
    {"FunnelTokenizer", "WordPiece"}, {"HerbertTokenizer", "BPE"},       {"OpenAIGPTTokenizer", "BPE"},
    {"ReformerTokenizer", "BPE"},     {"RemBertTokenizer", "Unigram"},   {"WhisperTokenizer", "BPE"},
    {"XGLMTokenizer", "Unigram"},     {"XLNetTokenizer", "Unigram"}};

const FurtherClass* find_class(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kFurther), std::end(kFurther), [&](const auto& c) { return c.name == name; });
  return found == std::end(kFurther) ? nullptr : found;
}

Json replace(const char* regex, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"Regex", regex}}}, {"content", to}};
}
Json replace_text(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}
Json step(const char* type) { return {{"type", type}}; }
Json normalizers(Json steps) { return {{"type", "Sequence"}, {"normalizers", std::move(steps)}}; }
Json words_then(Json metaspace) {
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({step("WhitespaceSplit"), std::move(metaspace)})}};
}
Json metaspace(const char* scheme) {
  return {{"type", "Metaspace"}, {"replacement", kMark}, {"prepend_scheme", scheme}, {"split", true}};
}
Json byte_level(bool prefix) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"trim_offsets", true}, {"use_regex", true}};
}
Json bert_normalizer(bool clean, bool chinese, Json accents, bool lower) {
  return {{"type", "BertNormalizer"},
          {"clean_text", clean},
          {"handle_chinese_chars", chinese},
          {"strip_accents", std::move(accents)},
          {"lowercase", lower}};
}

std::string text_of(const Json& config, const char* key, const char* otherwise) {
  const auto found = config.find(key);
  if (found == config.end()) return otherwise;
  if (found->is_object()) return text_member(*found, "content", key);
  return found->is_string() ? found->get<std::string>() : otherwise;
}

// The first Precompiled step of the file's normalizer.
std::optional<Json> charsmap_of(const Json& normalizer) {
  if (!normalizer.is_object()) return std::nullopt;
  if (normalizer.value("type", "") == "Precompiled") return normalizer;
  if (normalizer.value("type", "") == "Sequence" && normalizer.contains("normalizers"))
    for (const Json& one : normalizer["normalizers"])
      if (one.is_object() && one.value("type", "") == "Precompiled") return one;
  return std::nullopt;
}

// What a class reads and what it writes.
struct Form {
  const std::string& name;
  const Json& config;
  const std::string& where;
  TokenizerFile& file;
  std::optional<Json> charsmap;
  bool flag(const char* key, bool otherwise) const { return flag_member(config, key, where, otherwise); }
  bool is(std::string_view one) const { return name == one; }
  void set(Json normalizer, Json pre_tokenizer, Json decoder) const {
    file.rest["normalizer"] = std::move(normalizer);
    file.rest["pre_tokenizer"] = std::move(pre_tokenizer);
    file.rest["decoder"] = std::move(decoder);
  }
};

Json pair_model(const char* unknown, bool fuse, const char* suffix) {
  Json settings = {{"type", "BPE"}, {"unk_token", nullptr}, {"fuse_unk", fuse}, {"byte_fallback", false}};
  if (unknown) settings["unk_token"] = unknown;
  if (*suffix) settings["end_of_word_suffix"] = suffix;
  return settings;
}

void set_pairs(const Form& form) {
  Json& settings = form.file.model.settings;
  const Json suffix_decoder = {{"type", "BPEDecoder"}, {"suffix", kWordEnd}};
  if (form.is("OpenAIGPTTokenizer") || form.is("HerbertTokenizer")) {
    const bool first = form.is("OpenAIGPTTokenizer");
    form.set(first ? bert_normalizer(true, true, nullptr, true) : bert_normalizer(true, true, false, false),
             step("BertPreTokenizer"), suffix_decoder);
    settings = pair_model(text_of(form.config, "unk_token", "<unk>").c_str(), false, kWordEnd);
  } else if (form.is("CLIPTokenizer")) {
    form.set(
        normalizers(Json::array({step("NFC"), replace(R"(\s+)", " "), step("Lowercase")})),
        {{"type", "Sequence"},
         {"pretokenizers",
          Json::array({{{"type", "Split"}, {"pattern", {{"Regex", kClip}}}, {"behavior", "Removed"}, {"invert", true}},
                       byte_level(false)})}},
        byte_level(true));
    settings = pair_model(text_of(form.config, "unk_token", "<|endoftext|>").c_str(), false, kWordEnd);
  } else if (form.is("ReformerTokenizer")) {
    form.set(form.charsmap ? normalizers(Json::array({*form.charsmap, replace(" {2,}", " ")})) : Json(),
             metaspace("always"), metaspace("always"));
    settings = pair_model(text_of(form.config, "unk_token", "<unk>").c_str(), true, "");
  } else {  // Whisper, Blenderbot
    form.set(nullptr, byte_level(form.flag("add_prefix_space", form.is("BlenderbotTokenizer"))), byte_level(true));
    settings = pair_model(nullptr, false, "");
  }
  if (!form.is("WhisperTokenizer")) return;
  for (const char* key : {"language", "task"})
    if (form.config.contains(key) && !form.config[key].is_null())
      throw UnsupportedError(form.where, fmt::format("Whisper's '{}' is not in this build", key), "remove it");
}

Json quotes_and_accents(const Form& form, bool spaces, bool keep_accents, bool lower) {
  Json steps = Json::array({replace_text("``", "\""), replace_text("''", "\"")});
  if (spaces) steps.push_back(replace(" {2,}", " "));
  if (!keep_accents) steps.push_back(step("NFKD")), steps.push_back(step("StripAccents"));
  if (lower) steps.push_back(step("Lowercase"));
  if (form.charsmap) steps.push_back(*form.charsmap);
  return normalizers(std::move(steps));
}

Json one_space_and_nfc(bool lower) {
  Json steps = Json::array();
  if (lower) steps.push_back(step("Lowercase"));
  steps.push_back(replace(R"(\s{2,}|[\n\r\t])", " "));
  steps.push_back(step("NFC"));
  steps.push_back({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}});
  return normalizers(std::move(steps));
}

void set_scored(const Form& form) {
  const bool prefix = form.flag("add_prefix_space", true),
             lower = form.flag("do_lower_case", form.is("AlbertTokenizer"));
  Json space = metaspace(prefix ? "always" : "never"), splitting = space, normalizer;
  int64_t unknown = 3;  // XGLM, BARThez
  if (form.is("AlbertTokenizer") || form.is("XLNetTokenizer")) {
    if (form.is("XLNetTokenizer")) space = metaspace("always");
    normalizer = quotes_and_accents(form, false, form.is("AlbertTokenizer") && form.flag("keep_accents", false), lower);
    splitting = words_then(space);
    unknown = form.is("AlbertTokenizer")       ? 1
              : form.config.contains("unk_id") ? static_cast<int64_t>(count_member(form.config, "unk_id", form.where))
                                               : 0;
  } else if (form.is("RemBertTokenizer")) {
    normalizer = quotes_and_accents(form, true, form.flag("keep_accents", true), lower);
    unknown = 2;
  } else if (form.is("XGLMTokenizer")) {
    Json steps = Json::array({replace(" {2,}", " ")});
    if (form.charsmap) steps.insert(steps.begin(), *form.charsmap);
    normalizer = normalizers(std::move(steps));
  } else if (form.is("CamembertTokenizer")) {
    normalizer = form.charsmap.value_or(Json());
    splitting = words_then(space);
    unknown = std::max(0, form.file.model.vocabulary.find(text_of(form.config, "unk_token", "<unk>")));
  } else {  // BARThez, DeBERTa-v2
    normalizer = one_space_and_nfc(form.is("DebertaV2Tokenizer") && lower);
    if (form.is("DebertaV2Tokenizer")) {
      space = splitting = metaspace(prefix ? "always" : "first");
      if (form.flag("split_by_punct", false))
        splitting = {{"type", "Sequence"},
                     {"pretokenizers", Json::array({{{"type", "Punctuation"}, {"behavior", "Isolated"}}, space})}};
      const int32_t found = form.file.model.vocabulary.find(text_of(form.config, "unk_token", "[UNK]"));
      unknown = found >= 0 ? found : 1;
    }
  }
  form.set(std::move(normalizer), std::move(splitting), std::move(space));
  form.file.model.settings = {{"type", "Unigram"}, {"unk_id", unknown}, {"byte_fallback", false}};
}

void set_word_pieces(const Form& form) {  // Funnel
  const auto accents = form.config.find("strip_accents");
  const std::string prefix = text_of(form.config, "wordpieces_prefix", "##");
  form.set(bert_normalizer(form.flag("clean_text", true), form.flag("tokenize_chinese_chars", true),
                           accents == form.config.end() ? Json() : *accents, form.flag("do_lower_case", true)),
           step("BertPreTokenizer"), {{"type", "WordPiece"}, {"prefix", prefix}, {"cleanup", true}});
  form.file.model.settings = {{"type", "WordPiece"},
                              {"unk_token", text_of(form.config, "unk_token", "<unk>")},
                              {"continuing_subword_prefix", "##"},
                              {"max_input_chars_per_word", 100}};
}

}  // namespace

bool is_further_class(std::string_view name) { return find_class(name) != nullptr; }

bool apply_further_class(const std::string& name, const Json& config, TokenizerFile& file, const std::string& where) {
  const FurtherClass* found = find_class(name);
  if (!found) return false;
  if (const std::string given = model_type(file.model, where); given != found->model)
    throw DataError(where, fmt::format("{} needs a {} model, the file holds a {}", name, found->model, given),
                    "remove 'tokenizer_class' to use the file as it is");
  file.rest["added_tokens"] = Json::array();
  const Form form{name, config, where, file, charsmap_of(file.rest.value("normalizer", Json()))};
  const std::string_view model = found->model;
  if (model == "BPE") set_pairs(form);
  if (model == "Unigram") set_scored(form);
  if (model == "WordPiece") set_word_pieces(form);
  return true;
}

Json default_further_tokens(const std::string& name) {
  if (!is_further_class(name)) return Json::object();
  constexpr char kEnd[] = "<|endoftext|>";
  if (name == "OpenAIGPTTokenizer") return {{"unk_token", "<unk>"}};
  if (name == "ReformerTokenizer") return {{"eos_token", "</s>"}, {"unk_token", "<unk>"}};
  if (name == "WhisperTokenizer") return {{"unk_token", kEnd}, {"bos_token", kEnd}, {"eos_token", kEnd}};
  if (name == "CLIPTokenizer")
    return {{"unk_token", kEnd}, {"bos_token", "<|startoftext|>"}, {"eos_token", kEnd}, {"pad_token", kEnd}};
  const bool brackets = name == "AlbertTokenizer" || name == "RemBertTokenizer" || name == "DebertaV2Tokenizer";
  if (brackets) {
    const bool deberta = name == "DebertaV2Tokenizer";
    return {{"bos_token", "[CLS]"},  {"eos_token", "[SEP]"}, {"unk_token", deberta ? "[UNK]" : "<unk>"},
            {"sep_token", "[SEP]"},  {"cls_token", "[CLS]"}, {"pad_token", deberta ? "[PAD]" : "<pad>"},
            {"mask_token", "[MASK]"}};
  }
  Json tokens = {{"bos_token", "<s>"},  {"eos_token", "</s>"},  {"unk_token", "<unk>"},
                 {"sep_token", "</s>"}, {"pad_token", "<pad>"}, {"cls_token", "<s>"}};
  if (name == "XGLMTokenizer") return tokens;
  tokens["mask_token"] = "<mask>";
  if (name == "HerbertTokenizer") tokens.erase("bos_token"), tokens.erase("eos_token");
  if (name == "FunnelTokenizer" || name == "XLNetTokenizer")
    tokens["sep_token"] = "<sep>", tokens["cls_token"] = "<cls>";
  if (name != "HerbertTokenizer" && name != "FunnelTokenizer")  // its mask takes the space before it along
    tokens["mask_token"] = {
        {"content", "<mask>"}, {"lstrip", true}, {"rstrip", false}, {"single_word", false}, {"normalized", false}};
  return tokens;
}

std::vector<std::string> own_extra_tokens(const std::string& name) {
  std::vector<std::string> tokens;
  if (name == "XGLMTokenizer")
    for (int i = 0; i < 7; ++i) tokens.push_back(fmt::format("<madeupword{}>", i));
  if (name == "XLNetTokenizer") tokens = {"<eop>", "<eod>"};
  if (name == "CamembertTokenizer") tokens = {"<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"};
  return tokens;
}

std::optional<Json> further_post_processor(const std::string& name, const Json& config, bool has,
                                           const std::function<std::string(const char*)>& token,
                                           const std::function<int32_t(const std::string&)>& id) {
  Json single = Json::array(), known = Json::object();
  const auto add = [&](const std::string& text, const std::string& shown) {
    single.push_back({{"SpecialToken", {{"id", shown}, {"type_id", 0}}}});
    known[shown] = {
        {"id", shown}, {"ids", Json::array({static_cast<uint32_t>(id(text))})}, {"tokens", Json::array({shown})}};
  };
  const auto add_token = [&](const char* key) { add(token(key), token(key)); };
  const auto add_text = [&] { single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}}); };
  const auto pair = [&](const char* key) { return Json::array({token(key), static_cast<uint32_t>(id(token(key)))}); };
  if (name == "CLIPTokenizer")
    return Json{{"type", "RobertaProcessing"},
                {"sep", pair("eos_token")},
                {"cls", pair("bos_token")},
                {"trim_offsets", false},
                {"add_prefix_space", false}};
  if (name == "HerbertTokenizer")
    return Json{{"type", "BertProcessing"},
                {"sep", Json::array({token("sep_token"), 2U})},
                {"cls", Json::array({token("cls_token"), 0U})}};
  if (name == "RemBertTokenizer" && !has) return std::nullopt;
  if (name == "AlbertTokenizer") {
    if (has) return std::nullopt;
    add(token("cls_token"), "[CLS]"), add_text(), add(token("sep_token"), "[SEP]");
  } else if (name == "RemBertTokenizer" || name == "DebertaV2Tokenizer" || name == "FunnelTokenizer") {
    add_token("cls_token"), add_text(), add_token("sep_token");
  } else if (name == "CamembertTokenizer") {
    add_token("bos_token"), add_text(), add_token("eos_token");
  } else if (name == "XGLMTokenizer") {
    add_token("eos_token"), add_text();
  } else if (name == "XLNetTokenizer") {
    add_text(), add_token("sep_token"), add_token("cls_token");
  } else if (name == "WhisperTokenizer") {
    add("<|startoftranscript|>", "<|startoftranscript|>");
    if (!flag_member(config, "predict_timestamps", "tokenizer_config.json", false))
      add("<|notimestamps|>", "<|notimestamps|>");
    add_text(), add_token("eos_token");
  } else {
    return std::nullopt;
  }
  return Json{{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", known}};
}

std::string word_end_of(const std::string& name) { return name == "CLIPTokenizer" ? kWordEnd : ""; }

}  // namespace automodel::tokenizer
