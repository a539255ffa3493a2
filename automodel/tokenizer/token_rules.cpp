#include "automodel/tokenizer/token_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/error.h"
#include "automodel/tokenizer/class_rules.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/further_classes.h"

namespace automodel::tokenizer {

namespace fs = std::filesystem;

static constexpr const char* kNamedTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                               "pad_token", "cls_token", "mask_token"};

Json load_object(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  Json value = load_json(path);
  if (!value.is_object()) throw DataError(path.string(), fmt::format("must be an object, not {}", value.type_name()));
  return value;
}

static bool is_named(const std::string& key) {
  return std::find(std::begin(kNamedTokens), std::end(kNamedTokens), key) != std::end(kNamedTokens);
}

// A token named as text or as an object with flags.
static AddedToken read_token(const Json& value, const std::string& where) {
  if (value.is_object()) return read_added_token(value, where);
  if (!value.is_string())
    throw DataError(where, fmt::format("a token must be text or an object, not {}", value.type_name()));
  return {value.get<std::string>(), false, false, false, false, true};
}

static AddedToken special_token(const Json& value, const std::string& where) {
  AddedToken token = read_token(value, where);
  token.special = true;
  if (value.is_object() && !value.contains("normalized")) token.normalized = false;
  return token;
}

TokenRules::TokenRules(const fs::path& folder, Json config, const std::string& name, const Source& source) {
  const std::string where = (folder / "tokenizer_config.json").string();
  if (config.contains("additional_special_tokens") && !config.contains("extra_special_tokens"))
    config["extra_special_tokens"] = Json(config["additional_special_tokens"]);
  if (config.contains("added_tokens_decoder"))
    read_decoder(config["added_tokens_decoder"], where);
  else
    read_companions(folder, config, source);
  read_named(config, name, source, where);
  read_extra(config, name, source, where);
}

void TokenRules::read_named(const Json& config, const std::string& name, const Source& source,
                            const std::string& where) {
  Json tokens = source.named;
  const Json defaults = default_tokens(name);
  for (const auto& [key, value] : defaults.items()) tokens[key] = value;
  for (const char* key : kNamedTokens) {
    if (!config.contains(key)) continue;
    const bool as_class = config[key].is_string() && defaults.contains(key) && defaults[key].is_object();
    if (as_class)
      tokens[key]["content"] = config[key];  // with the flags that the class gives this token, whatever its text
    else
      tokens[key] = config[key];
  }
  for (const auto& [key, value] : tokens.items())
    if (!value.is_null() && is_named(key)) {
      const AddedToken token = special_token(value, where + ": " + key);
      named[key] = config.contains(key) || !defaults.contains(key) ? known(token) : token;
    }
  for (const auto& [key, value] : tokens.items())  // the class's own, as prefix_token
    if (!is_named(key) && !config.contains(key)) specific.push_back(known(special_token(value, where)));
  for (const auto& [key, value] : config.items())  // image_token and the like
    if (key.ends_with("_token") && !is_named(key) &&
        (value.is_string() || (value.is_object() && value.contains("content"))))
      specific.push_back(known(special_token(value, where + ": " + key)));
}

void TokenRules::read_extra(const Json& config, const std::string& name, const Source& source,
                            const std::string& where) {
  if (const auto found = config.find("extra_special_tokens"); found != config.end()) {
    if (found->is_null()) return;
    if (!found->is_array() && !found->is_object())
      throw DataError(where, "'extra_special_tokens' (or 'additional_special_tokens') must be a list");
    for (const Json& value : *found) {
      const AddedToken token = read_token(value, where + ": extra_special_tokens");
      if (found->is_object())
        specific.push_back(known(token));
      else
        extra.push_back(token);
    }
    return;
  }
  extra = source.extra;
  for (const std::string& text : own_extra_tokens(name)) extra.push_back({text, false, false, false, false, true});
  if (name != "T5Tokenizer") return;
  const uint64_t ids = config.contains("extra_ids") ? count_member(config, "extra_ids", where) : 100;
  if (ids > 100000) throw DataError(where, fmt::format("'extra_ids' is {}, more than 100000", ids));
  for (uint64_t i = 0; i < ids; ++i)
    extra.push_back({fmt::format("<extra_id_{}>", i), false, false, false, false, true});
}

bool TokenRules::names(const std::string& content) const {
  const auto is = [&](const AddedToken& token) { return token.content == content; };
  return std::any_of(named.begin(), named.end(), [&](const auto& entry) { return is(entry.second); }) ||
         std::any_of(specific.begin(), specific.end(), is);
}

// With its flags if it is among the added ones, those of the last one of its text.
AddedToken TokenRules::known(AddedToken token) const {
  const auto found =
      std::find_if(added.rbegin(), added.rend(), [&](const auto& other) { return other.content == token.content; });
  return found == added.rend() ? token : *found;
}

void TokenRules::read_decoder(const Json& decoder, const std::string& where) {
  if (!decoder.is_object()) throw DataError(where, "'added_tokens_decoder' must be an object");
  std::map<int64_t, AddedToken> by_id;
  for (const auto& [id, token] : decoder.items()) {
    if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != std::string::npos)
      throw DataError(where, fmt::format("'added_tokens_decoder' has the key '{}', which is no id", id));
    by_id[std::stoll(id)] = read_added_token(token, where + ": added_tokens_decoder");
  }
  for (auto& [id, token] : by_id) added.push_back(std::move(token));
}

void TokenRules::read_companions(const fs::path& folder, Json& config, const Source& source) {
  const fs::path map_path = folder / "special_tokens_map.json", added_path = folder / "added_tokens.json";
  const Json map = load_object(map_path), older = load_object(added_path);
  for (const auto& [key, value] : map.items())
    if (key != "additional_special_tokens" || source.extra.empty())
      config[key == "additional_special_tokens" ? "extra_special_tokens" : key] = value;
  if (const auto found = config.find("extra_special_tokens"); found != config.end() && found->is_array())
    for (Json& token : *found)
      if (token.is_object()) token["special"] = true;
  const auto is_special = [&](const std::string& content) {
    const auto is = [&](const Json& value) {
      return !value.is_null() && read_token(value, map_path.string()).content == content;
    };
    const auto extra_list = config.find("extra_special_tokens");
    return std::any_of(std::begin(kNamedTokens), std::end(kNamedTokens),
                       [&](const char* key) { return config.contains(key) && is(config[key]); }) ||
           (extra_list != config.end() && extra_list->is_array() &&
            std::any_of(extra_list->begin(), extra_list->end(), is));
  };
  std::map<int64_t, AddedToken> by_id;
  for (const auto& [content, id] : older.items()) {
    if (!id.is_number_unsigned())
      throw DataError(added_path.string(), fmt::format("the id of '{}' must be a number", content));
    const bool special = is_special(content);
    by_id[id.get<int64_t>()] = {content, false, false, false, !special, special};
  }
  if (const Json tokens = source.is_tokenizer_json ? source.file.rest.value("added_tokens", Json()) : Json();
      tokens.is_array())
    for (const Json& token : tokens)
      by_id[static_cast<int64_t>(count_member(token, "id", "added_tokens"))] = read_added_token(token, "added_tokens");
  for (auto& [id, token] : by_id) added.push_back(std::move(token));
}

std::vector<AddedToken> TokenRules::to_add(const std::string& name, const std::vector<AddedToken>& of_source) const {
  std::vector<AddedToken> tokens, listed;  // listed: as named, before a name makes them special
  std::set<std::string> present;
  for (const AddedToken& token : of_source) present.insert(token.content);
  const auto list = [&](AddedToken token) {
    listed.push_back(token);
    token.special |= names(token.content);
    tokens.push_back(std::move(token));
  };
  for (const AddedToken& token : added) {
    present.insert(token.content);
    if (std::find(of_source.begin(), of_source.end(), token) == of_source.end()) list(token);
  }
  // Those of one text with other flags follow each other, and the last one holds.
  const auto list_missing = [&](const AddedToken& token) {
    if (!present.contains(token.content) && std::find(listed.begin(), listed.end(), token) == listed.end()) list(token);
  };
  for (const char* key : kNamedTokens)
    if (const auto found = named.find(key); found != named.end()) list_missing(found->second);
  for (const AddedToken& token : specific) list_missing(token);
  for (const AddedToken& token : extra) list_missing(token);
  const bool by_text = name == "Qwen2Tokenizer";
  if (!by_text && name != "ReformerTokenizer" && name != "RemBertTokenizer" && name != "CohereTokenizer") return tokens;
  const auto again = [&](const AddedToken& token) {
    const AddedToken plain{token.content, false, false, false, false, true};
    tokens.push_back(by_text ? plain : token);
    tokens.back().special = true;
  };
  for (const auto& [key, token] : named) again(token);
  for (const AddedToken& token : specific) again(token);
  for (const AddedToken& token : extra) again(token);
  return tokens;
}

}  // namespace automodel::tokenizer
