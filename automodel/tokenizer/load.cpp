#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/tokenizer/class_rules.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/pipeline.h"

namespace automodel::tokenizer {

namespace fs = std::filesystem;

namespace {

constexpr const char* kNamedTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};

Json load_object(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  Json value = load_json(path);
  if (!value.is_object()) throw DataError(path.string(), fmt::format("must be an object, not {}", value.type_name()));
  return value;
}

// A token named as text or as an object with flags.
AddedToken named_token(const Json& value, const std::string& where) {
  if (value.is_object()) {
    AddedToken token = read_added_token(value, where);
    token.special = true;
    return token;
  }
  if (!value.is_string())
    throw DataError(where, fmt::format("a token must be text or an object, not {}", value.type_name()));
  AddedToken token;
  token.content = value.get<std::string>();
  token.special = true;
  token.normalized = false;
  return token;
}

// Everything that tokenizer_config.json and its companions say about tokens, as transformers gathers it.
struct TokenRules {
  std::vector<AddedToken> added;            // in order of their ids
  std::map<std::string, AddedToken> named;  // bos_token ...
  std::vector<AddedToken> extra;

  TokenRules(const fs::path& folder, Json config, const std::string& chosen, const Json& file_tokens) {
    const std::string where = (folder / "tokenizer_config.json").string();
    if (config.contains("added_tokens_decoder"))
      read_decoder(config["added_tokens_decoder"], where);
    else
      read_legacy(folder, config, file_tokens);
    Json tokens = default_tokens(chosen);
    for (const char* key : kNamedTokens)
      if (config.contains(key)) tokens[key] = config[key];
    for (const auto& [key, value] : tokens.items())
      if (!value.is_null()) named[key] = known(named_token(value, where + ": " + key));
    for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
      if (!config.contains(key) || config[key].is_null()) continue;
      if (!config[key].is_array() && !config[key].is_object())
        throw DataError(where, fmt::format("'{}' must be a list", key));
      for (const Json& value : config[key]) extra.push_back(known(named_token(value, where + ": " + key)));
    }
    for (const auto& [key, value] : config.items())  // image_token and the like
      if (key.ends_with("_token") && value.is_string() && !named.contains(key) && !is_named(key))
        extra.push_back(known(named_token(value, where)));
  }

  bool names(const std::string& content) const {
    return std::any_of(named.begin(), named.end(), [&](const auto& entry) { return entry.second.content == content; });
  }

 private:
  static bool is_named(const std::string& key) {
    return std::find(std::begin(kNamedTokens), std::end(kNamedTokens), key) != std::end(kNamedTokens);
  }

  AddedToken known(AddedToken token) const {  // with its flags if it is among the added ones
    for (const AddedToken& other : added)
      if (other.content == token.content) return other;
    return token;
  }

  void read_decoder(const Json& decoder, const std::string& where) {
    if (!decoder.is_object()) throw DataError(where, "'added_tokens_decoder' must be an object");
    std::map<int64_t, AddedToken> by_id;
    for (const auto& [id, token] : decoder.items()) {
      if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != std::string::npos)
        throw DataError(where, fmt::format("'added_tokens_decoder' has the key '{}', which is no id", id));
      by_id[std::stoll(id)] = read_added_token(token, where + ": added_tokens_decoder");
    }
    for (auto& [id, token] : by_id) added.push_back(std::move(token));
  }

  void read_legacy(const fs::path& folder, Json& config, const Json& file_tokens) {
    const fs::path map_path = folder / "special_tokens_map.json", added_path = folder / "added_tokens.json";
    const Json map = load_object(map_path), older = load_object(added_path);
    for (const auto& [key, value] : map.items()) config[key] = value;
    std::map<int64_t, AddedToken> by_id;
    for (const auto& [content, id] : older.items()) {
      if (!id.is_number_unsigned())
        throw DataError(added_path.string(), fmt::format("the id of '{}' must be a number", content));
      AddedToken token;
      token.content = content;
      token.special = std::any_of(std::begin(kNamedTokens), std::end(kNamedTokens), [&](const char* key) {
        return config.contains(key) && !config[key].is_null() &&
               named_token(config[key], map_path.string()).content == content;
      });
      token.normalized = !token.special;
      by_id[id.get<int64_t>()] = token;
    }
    if (file_tokens.is_array())
      for (const Json& token : file_tokens)
        by_id[static_cast<int64_t>(count_member(token, "id", "added_tokens"))] =
            read_added_token(token, "added_tokens");
    for (auto& [id, token] : by_id) added.push_back(std::move(token));
  }
};

void add_tokens(const TokenRules& rules, const std::string& chosen, Pipeline& pipeline,
                const std::vector<AddedToken>& of_file) {
  std::vector<AddedToken> tokens;
  std::vector<std::string> present;
  for (const AddedToken& token : of_file) present.push_back(token.content);
  const auto has_token = [&](const std::string& content) {
    return std::find(present.begin(), present.end(), content) != present.end();
  };
  for (AddedToken token : rules.added) {
    if (std::find(of_file.begin(), of_file.end(), token) != of_file.end()) continue;
    token.special |= rules.names(token.content);
    present.push_back(token.content);
    tokens.push_back(std::move(token));
  }
  const auto add_missing = [&](const AddedToken& token) {
    if (has_token(token.content)) return;
    present.push_back(token.content);
    tokens.push_back(token);
  };
  for (const char* key : kNamedTokens)
    if (const auto found = rules.named.find(key); found != rules.named.end()) add_missing(found->second);
  for (const AddedToken& token : rules.extra) add_missing(token);
  if (chosen == "Qwen2Tokenizer") {  // it adds all special tokens again, with plain flags
    const auto plain = [&](const AddedToken& token) {
      tokens.push_back({token.content, false, false, false, false, true});
    };
    for (const auto& [key, token] : rules.named) plain(token);
    for (const AddedToken& token : rules.extra) plain(token);
  }
  pipeline.add_tokens(tokens);
}

std::string chat_template_of(const fs::path& folder, const Json& config) {
  const fs::path path = folder / "chat_template.jinja";
  if (fs::exists(path)) return read_file(path, 1 << 24);
  Json source = config.value("chat_template", Json());
  const fs::path older = folder / "chat_template.json";
  if (source.is_null() && fs::exists(older)) source = load_object(older).value("chat_template", Json());
  if (source.is_string()) return source.get<std::string>();
  if (source.is_array())  // several named ones
    for (const Json& one : source)
      if (one.is_object() && one.value("name", "") == "default")
        return text_member(one, "template", (folder / "tokenizer_config.json").string());
  return {};
}

std::string model_type_of(const fs::path& folder) {
  const Json config = load_object(folder / "config.json");
  return config.contains("model_type") && config["model_type"].is_string() ? config["model_type"].get<std::string>()
                                                                           : std::string();
}

std::vector<AddedToken> tokens_of_file(const Json& rest) {
  std::vector<AddedToken> tokens;
  if (const auto found = rest.find("added_tokens"); found != rest.end() && found->is_array())
    for (const Json& token : *found) tokens.push_back(read_added_token(token, "added_tokens"));
  return tokens;
}

}  // namespace

std::shared_ptr<const Tokenizer> load(const fs::path& folder) {
  const fs::path path = folder / "tokenizer.json";
  if (!fs::exists(path)) {
    const std::string hint = "save the tokenizer with transformers' save_pretrained(), which writes tokenizer.json";
    if (fs::exists(folder / "tokenizer.model"))
      throw UnsupportedError((folder / "tokenizer.model").string(), "reading SentencePiece models is not in this build",
                             hint);
    if (fs::exists(folder / "vocab.json"))
      throw UnsupportedError((folder / "vocab.json").string(), "reading vocab.json and merges.txt is not in this build",
                             hint);
    throw DataError(folder.string(), "holds no tokenizer.json");
  }
  const Json config = load_object(folder / "tokenizer_config.json");
  const std::string where = (folder / "tokenizer_config.json").string();
  TokenizerFile file = read_tokenizer_file(path);
  const std::string chosen = tokenizer_class(config, model_type_of(folder));
  const TokenRules rules(folder, config, chosen, file.rest.value("added_tokens", Json()));
  apply_class(chosen, config, file, where);
  const std::vector<AddedToken> of_file = tokens_of_file(file.rest);
  const bool bpe = file.model.has_merges;
  auto pipeline = std::make_shared<Pipeline>(std::move(file), path.string());
  add_tokens(rules, chosen, *pipeline, of_file);

  const auto text = [&](const char* key) {
    const auto found = rules.named.find(key);
    return found == rules.named.end() ? std::string() : found->second.content;
  };
  const auto id = [&](const std::string& token) { return token.empty() ? std::nullopt : pipeline->token_to_id(token); };
  pipeline->bos_token = text("bos_token");
  pipeline->eos_token = text("eos_token");
  pipeline->pad_token = text("pad_token");
  pipeline->unk_token = text("unk_token");
  pipeline->bos_id = id(pipeline->bos_token);
  pipeline->eos_id = id(pipeline->eos_token);
  pipeline->pad_id = id(pipeline->pad_token);
  if (chosen == "CodeLlamaTokenizer" && flag_member(config, "add_bos_token", where, true))
    pipeline->set_post_processor(PostProcessor::make_template(pipeline->bos_id.value_or(-1), -1));
  const bool forced =
      flag_member(config, "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", where, false);
  pipeline->set_clean_up(flag_member(config, "clean_up_tokenization_spaces", where, false) && (!bpe || forced));
  pipeline->chat_template = chat_template_of(folder, config);
  pipeline->config = config;
  return pipeline;
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
                                           "chat_template.jinja",
                                           "chat_template.json"};
  std::vector<fs::path> found;
  for (const char* name : kNames)
    if (fs::is_regular_file(folder / name)) found.push_back(folder / name);
  const fs::path named = folder / "additional_chat_templates";
  if (fs::is_directory(named))
    for (const auto& file : fs::directory_iterator(named))
      if (file.path().extension() == ".jinja") found.push_back(file.path());
  return found;
}

}  // namespace automodel::tokenizer
