#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/tokenizer/class_rules.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/encoder_rules.h"
#include "automodel/tokenizer/encodings.h"
#include "automodel/tokenizer/further_classes.h"
#include "automodel/tokenizer/mistral_model.h"
#include "automodel/tokenizer/pipeline.h"
#include "automodel/tokenizer/sentencepiece.h"
#include "automodel/tokenizer/sentencepiece_file.h"
#include "automodel/tokenizer/source.h"
#include "automodel/tokenizer/template_files.h"
#include "automodel/tokenizer/token_rules.h"

namespace automodel::tokenizer {

namespace fs = std::filesystem;

namespace {

std::vector<AddedToken> tokens_of_source(const Json& rest) {
  std::vector<AddedToken> tokens;
  if (const auto found = rest.find("added_tokens"); found != rest.end() && found->is_array())
    for (const Json& token : *found) tokens.push_back(read_added_token(token, "added_tokens"));
  return tokens;
}

// Which of bos and eos are put around a text, where neither the file nor the class has a post-processor that holds.
void set_begin_and_end(const std::string& name, const Json& config, const Source& source, const std::string& where,
                       Pipeline& pipeline) {
  // Beside a tokenizer.json these keys mean nothing.
  const Json keys = source.is_tokenizer_json ? Json::object() : config;
  const bool says = keys.contains("add_bos_token") || keys.contains("add_eos_token");
  const bool begins = name == "CodeLlamaTokenizer" || source.path.filename() == "tekken.json";
  if (!says && !begins && name != "GPTNeoXTokenizer" && pipeline.has_post_processor()) return;
  const bool bos = flag_member(keys, "add_bos_token", where, begins),
             eos = flag_member(keys, "add_eos_token", where, false);
  pipeline.set_post_processor(
      PostProcessor::make_template(bos ? pipeline.bos_id.value_or(-1) : -1, eos ? pipeline.eos_id.value_or(-1) : -1));
}

void name_tokens(const TokenRules& rules, Pipeline& pipeline) {
  const auto id = [&](const std::string& token) { return token.empty() ? std::nullopt : pipeline.token_to_id(token); };
  pipeline.bos_token = rules.text("bos_token");
  pipeline.eos_token = rules.text("eos_token");
  pipeline.pad_token = rules.text("pad_token");
  pipeline.unk_token = rules.text("unk_token");
  pipeline.bos_id = id(pipeline.bos_token);
  pipeline.eos_id = id(pipeline.eos_token);
  pipeline.pad_id = id(pipeline.pad_token);
}

// config.json, if there is one. Its model_type can change the class, and with it the ids: nothing is guessed.
Json load_model_config(const fs::path& folder) {
  try {
    return load_object(folder / "config.json");
  } catch (const DataError& error) {
    throw DataError("", error.what(),
                    "its 'model_type' says how the tokenizer beside it reads text: mend it or take it away");
  }
}

std::shared_ptr<const Tokenizer> load_folder(const fs::path& folder) {
  const Json config = load_object(folder / "tokenizer_config.json");
  const std::string where = (folder / "tokenizer_config.json").string();
  if (const auto model = find_mistral_model(folder)) return load_mistral_model(*model, config);
  const std::string name = tokenizer_class(config, load_model_config(folder));
  check_class(name, where);
  Source source = read_source(folder, name, config);
  const TokenRules rules(folder, config, name, source);
  if (!source.whole) apply_class(name, config, source.file, where);
  const std::vector<AddedToken> of_source = tokens_of_source(source.file.rest);
  const bool bpe = source.file.model.has_merges;
  auto pipeline = std::make_shared<Pipeline>(std::move(source.file), source.path.string());
  pipeline->add_tokens(rules.to_add(name, of_source));
  name_tokens(rules, *pipeline);
  const auto own = class_post_processor(
      name, config, pipeline->has_post_processor(), [&](const char* key) { return rules.text(key); },
      [&](std::string_view text) { return pipeline->token_to_id(text); }, where);
  if (own)
    pipeline->set_post_processor(PostProcessor::make(*own, where));
  else
    set_begin_and_end(name, config, source, where, *pipeline);
  const bool forced =
      flag_member(config, "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", where, false);
  pipeline->set_clean_up(flag_member(config, "clean_up_tokenization_spaces", where, false) && (!bpe || forced));
  pipeline->set_word_end(word_end_of(name));
  if (name == "WhisperTokenizer") pipeline->set_speech();
  pipeline->chat_templates = read_chat_templates(folder, config);
  if (const auto found = pipeline->chat_templates.find("default"); found != pipeline->chat_templates.end())
    pipeline->chat_template = found->second;
  pipeline->config = config;
  return pipeline;
}

}  // namespace

std::shared_ptr<const Tokenizer> load(const fs::path& place) {
  if (!fs::is_regular_file(place)) return load_folder(place);
  if (!is_sentencepiece_name(place.filename().string())) return load_encoding(place);
  return load_sentencepiece(place);
}

std::vector<fs::path> tokenizer_files(const fs::path& folder) {
  static constexpr const char* kNames[] = {"tokenizer.json",
                                           "tokenizer_config.json",
                                           "special_tokens_map.json",
                                           "added_tokens.json",
                                           "vocab.json",
                                           "merges.txt",
                                           "vocab.txt",
                                           "tokenizer.model",
                                           "spiece.model",
                                           "sentencepiece.bpe.model",
                                           "tiktoken.model",
                                           "tekken.json",
                                           "chat_template.jinja",
                                           "chat_template.json"};
  if (fs::is_regular_file(folder)) return {folder};
  std::vector<fs::path> found, others;
  for (const char* name : kNames)
    if (fs::is_regular_file(folder / name)) found.push_back(folder / name);
  const auto add = [&](const fs::path& where, const char* extension) {
    if (!fs::is_directory(where)) return;
    for (const auto& entry : fs::directory_iterator(where))
      if (entry.path().extension() == extension) others.push_back(entry.path());
  };
  add(folder, ".tiktoken");
  if (const auto model = find_mistral_model(folder)) others.push_back(*model);
  add(folder / kNamedTemplates, ".jinja");
  std::sort(others.begin(), others.end());
  found.insert(found.end(), others.begin(), others.end());
  return found;
}

}  // namespace automodel::tokenizer
