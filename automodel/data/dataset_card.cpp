#include "automodel/data/dataset_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "automodel/base/error.h"
#include "automodel/config/yaml_tree.h"

namespace automodel::data {
using config::Value;

static std::string front_matter(const std::string& readme) {
  size_t begin = readme.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  if (readme.compare(begin, 3, "---") != 0) return "";
  begin = readme.find('\n', begin);
  if (begin == std::string::npos) return "";
  for (size_t at = begin; at != std::string::npos; at = readme.find('\n', at + 1)) {
    const std::string_view line = std::string_view(readme).substr(at + 1, 4);
    if (line.starts_with("---") && (line.size() < 4 || line[3] == '\n' || line[3] == '\r' || line[3] == ' '))
      return readme.substr(begin, at - begin + 1);  // begins with the first line's end: line numbers stay
  }
  return "";
}

namespace {

class Card {
 public:
  explicit Card(std::string where) : where_(std::move(where)) {}

  std::vector<CardConfig> configs(const Value& root) const {
    std::vector<CardConfig> configs;
    const Value* list = root.find("configs");
    if (!list || list->is_null()) return configs;
    if (!list->is_list()) fail(*list, "'configs' should be a list");
    std::set<std::string> names;
    for (const Value& item : list->items) {
      configs.push_back(config(item));
      if (!names.insert(configs.back().name).second)
        fail(item, fmt::format("the configuration '{}' stands twice", configs.back().name));
    }
    return configs;
  }

 private:
  [[noreturn]] void fail(const Value& value, const std::string& text) const {
    throw DataError(fmt::format("{}:{}", where_, value.place.line), text,
                    "configs: [{config_name: NAME, data_files: [{split: train, path: train/*}]}]");
  }

  CardConfig config(const Value& item) const {
    CardConfig config;
    const Value* name = item.find("config_name");
    if (!name || !(name->is_string() || !name->text.empty())) fail(item, "a configuration has no config_name");
    config.name = name->text;
    for (const auto& [key, place, value] : item.entries) {
      if (key == "data_dir" && !value.is_null()) {
        config.data_dir = text_of(value, "data_dir");
      } else if (key == "default") {
        config.is_default = value.is(Value::Kind::kBool) && value.boolean;
      } else if (key == "data_files" && !value.is_null()) {
        config.names_files = true;
        config.data_files = data_files(value);
      } else if (!is_harmless(key)) {
        throw UnsupportedError(
            fmt::format("{}:{}", where_, place.line),
            fmt::format("the reading option '{}' of the configuration '{}' is not in this build", key, config.name),
            "convert the files to JSON lines, and give their path");
      }
    }
    return config;
  }

  // What says nothing about how rows are read.
  static bool is_harmless(const std::string& key) {
    static const std::set<std::string> keys = {"config_name", "data_dir", "data_files",  "version",      "description",
                                               "features",    "default",  "drop_labels", "drop_metadata"};
    return keys.contains(key);
  }

  std::string text_of(const Value& value, const char* what) const {
    if (!value.is_string()) fail(value, fmt::format("'{}' should be a text", what));
    if (value.text.starts_with('/') || ("/" + value.text + "/").find("/../") != std::string::npos ||
        value.text.find("://") != std::string::npos)
      fail(value, fmt::format("'{}' leads out of the data set: {}", what, value.text));
    return value.text.starts_with("./") ? value.text.substr(2) : value.text;
  }

  std::vector<std::string> texts_of(const Value& value, const char* what) const {
    if (!value.is_list()) return {text_of(value, what)};
    std::vector<std::string> texts;
    for (const Value& item : value.items) texts.push_back(text_of(item, what));
    return texts;
  }

  std::vector<std::pair<std::string, std::vector<std::string>>> data_files(const Value& value) const {
    if (!value.is_list() || std::none_of(value.items.begin(), value.items.end(), [](auto& v) { return v.is_map(); }))
      return {{"train", texts_of(value, "data_files")}};
    std::vector<std::pair<std::string, std::vector<std::string>>> splits;
    for (const Value& item : value.items) {
      const Value *split = item.find("split"), *path = item.find("path");
      if (!split || split->text.empty() || !path || item.entries.size() != 2)
        fail(item, "an entry of data_files should be {split: NAME, path: FILE or list}");
      for (const auto& [name, files] : splits)
        if (name == split->text) fail(item, fmt::format("the split '{}' stands twice", name));
      splits.emplace_back(split->text, texts_of(*path, "path"));
    }
    return splits;
  }

  std::string where_;
};

}  // namespace

std::vector<CardConfig> read_card(const std::string& readme, const std::string& where) {
  const std::string yaml = front_matter(readme);
  if (yaml.empty()) return {};
  try {
    return Card(where).configs(config::parse_plain_yaml(yaml, where));
  } catch (const ConfigError& error) {
    throw DataError("", error.what());
  }
}

}  // namespace automodel::data
