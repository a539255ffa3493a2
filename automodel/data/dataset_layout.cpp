#include "automodel/data/dataset_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/data/dataset_card.h"
#include "automodel/data/path_pattern.h"

namespace automodel::data {
namespace {

constexpr std::string_view kPackings[] = {".gz", ".zst", ".bz2", ".xz"};
constexpr std::string_view kShard = "-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*.*";
constexpr std::string_view kBreaks = "[-._ 0-9]";  // between the words of a name

const std::vector<std::pair<std::string, std::vector<std::string>>>& split_words() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> words = {
      {"train", {"train", "training"}},
      {"validation", {"validation", "valid", "dev", "val"}},
      {"test", {"test", "testing", "eval", "evaluation"}}};
  return words;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// csv, json, parquet, arrow or text; "" for what is no data file.
std::string format_of(const std::string& path) {
  static const std::map<std::string, std::string> formats = {
      {".csv", "csv"},     {".tsv", "tsv"},         {".json", "json"},          {".jsonl", "json"},
      {".ndjson", "json"}, {".parquet", "parquet"}, {".geoparquet", "parquet"}, {".arrow", "arrow"},
      {".txt", "text"},    {".text", "text"}};
  const auto found = formats.find(data_format_ending(path));
  return found == formats.end() ? "" : found->second;
}

bool is_ignored(const std::string& path) {
  static const std::set<std::string> names = {"README.md",          "config.json",       "dataset_info.json",
                                              "dataset_infos.json", "dataset_dict.json", "state.json"};
  return names.contains(file_name(path));
}

/// Patterns for the files of each split, of which the first kind that finds anything holds.
using Patterns = std::vector<std::pair<std::string, std::vector<std::string>>>;

Patterns shard_patterns(const std::vector<std::string>& files) {
  std::set<std::string> names;
  for (const auto& file : match_paths("data/*" + std::string(kShard), files)) {
    const std::string name = file_name(file);
    for (size_t at = name.size(); at-- > 0;) {  // the longest name in front of -00000-of-00005
      if (!path_matches("x" + std::string(kShard), "x" + name.substr(at))) continue;
      names.insert(name.substr(0, at));
      break;
    }
  }
  Patterns patterns;
  const auto add = [&](const std::string& name) { patterns.push_back({name, {"data/" + name + std::string(kShard)}}); };
  for (const auto& [split, words] : split_words())
    if (names.erase(split)) add(split);
  for (const auto& name : names) add(name);
  return patterns;
}

Patterns word_patterns(const std::vector<std::string>& files, bool folders) {
  Patterns patterns;
  for (const auto& [split, words] : split_words()) {
    std::vector<std::string> all;
    for (const auto& word : words) {
      const std::string breaks(kBreaks);
      if (folders) {
        all.insert(all.end(), {"**/" + word + "/**", "**/" + word + breaks + "*/**", "**/*" + breaks + word + "/**",
                               "**/*" + breaks + word + breaks + "*/**"});
      } else {
        all.insert(all.end(), {"**/" + word + breaks + "*", "**/*" + breaks + word + breaks + "*"});
      }
    }
    if (std::any_of(all.begin(), all.end(), [&](auto& pattern) { return !match_paths(pattern, files).empty(); }))
      patterns.emplace_back(split, std::move(all));
  }
  return patterns;
}

Patterns default_patterns(const std::vector<std::string>& files) {
  for (auto patterns : {shard_patterns(files), word_patterns(files, true), word_patterns(files, false)})
    if (!patterns.empty()) return patterns;
  return {{"train", {"**"}}};
}

/// Of files in several formats those of the most frequent.
void keep_one_format(SplitFiles& splits) {
  std::map<std::string, size_t> counts;
  for (const auto& [split, files] : splits)
    for (const auto& file : files) ++counts[data_format_ending(file)];
  static const std::vector<std::string> favoured = {".csv", ".json", ".jsonl", ".arrow", ".parquet"};  // the last most
  const auto rank = [&](const std::string& ending) {
    const auto place = std::find(favoured.begin(), favoured.end(), ending);
    return std::pair{counts.at(ending), place == favoured.end() ? -1 : place - favoured.begin()};
  };
  std::string best;
  for (const auto& [ending, count] : counts)
    if (best.empty() || rank(ending) > rank(best)) best = ending;
  for (auto& [split, files] : splits)
    std::erase_if(files, [&](const auto& file) { return format_of(file) != format_of("x" + best); });
}

SplitFiles match(const Patterns& patterns, const std::vector<std::string>& files, const std::string& folder) {
  SplitFiles splits;
  for (const auto& [split, wanted] : patterns) {
    auto& found = splits.emplace_back(split, std::vector<std::string>()).second;
    for (const auto& pattern : wanted) {
      const auto matched = match_paths(pattern, files);
      if (matched.empty() && !is_path_pattern(pattern))
        throw DataError(folder, fmt::format("README.md names the file {}, which is not there", pattern));
      for (const auto& file : matched)
        if (is_data_file(file) && std::find(found.begin(), found.end(), file) == found.end()) found.push_back(file);
    }
  }
  std::erase_if(splits, [](const auto& split) { return split.second.empty(); });
  return splits;
}

const CardConfig& pick(const std::vector<CardConfig>& configs, const std::string& name, const std::string& folder) {
  std::vector<std::string> names;
  const CardConfig* chosen = nullptr;
  for (const auto& config : configs) {
    names.push_back(config.name);
    if (name.empty() ? configs.size() == 1 || config.is_default || config.name == "default" : config.name == name) {
      if (chosen) throw DataError(folder, "README.md marks several configurations as default", "set dataset.name");
      chosen = &config;
    }
  }
  if (chosen) return *chosen;
  if (name.empty())
    throw DataError(folder, fmt::format("has several configurations: {}", join(names, ", ")),
                    "say which: dataset.name: " + names.front());
  const std::string near = nearest(name, names);
  throw DataError(folder, fmt::format("has no configuration '{}' (it has: {})", name, join(names, ", ")),
                  near.empty() ? "" : fmt::format("did you mean '{}'?", near));
}

}  // namespace

std::string data_file_ending(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string ending = lower(file.extension().string());
  for (const auto packing : kPackings)
    if (ending == packing) return lower(file.stem().extension().string()) + ending;
  return ending;
}

std::string data_format_ending(const std::string& path) {
  std::string ending = data_file_ending(path);
  for (const auto packing : kPackings)
    if (ending.ends_with(packing)) ending.resize(ending.size() - packing.size());
  return ending;
}

bool is_data_file(const std::string& path) { return !is_ignored(path) && !format_of(path).empty(); }

std::vector<std::string> config_names(const FolderListing& folder) {
  std::vector<std::string> names;
  for (const auto& config : read_card(folder.readme, folder.name + "/README.md")) names.push_back(config.name);
  return names;
}

SplitFiles find_splits(const FolderListing& folder, const std::string& name) {
  const auto configs = read_card(folder.readme, folder.name + "/README.md");
  std::vector<std::string> files;
  for (const auto& file : folder.files)
    if (!is_ignored(file)) files.push_back(file);
  std::string base;
  Patterns patterns;
  if (configs.empty()) {
    if (!name.empty())
      throw DataError(folder.name, fmt::format("has no configuration '{}': its README.md names none", name),
                      "leave dataset.name out, or give the path of the files");
    patterns = default_patterns(files);
  } else {
    const CardConfig& config = pick(configs, name, folder.name);
    base = config.data_dir.empty() || config.data_dir.ends_with('/') ? config.data_dir : config.data_dir + "/";
    std::vector<std::string> below;
    for (const auto& file : files)
      if (file.starts_with(base)) below.push_back(file.substr(base.size()));
    files = std::move(below);
    patterns = config.names_files ? config.data_files : default_patterns(files);
  }
  SplitFiles splits = match(patterns, files, folder.name);
  if (configs.empty()) keep_one_format(splits);  // what a configuration names is meant
  std::erase_if(splits, [](const auto& split) { return split.second.empty(); });
  for (auto& [split, found] : splits)
    for (auto& file : found) file = base + file;
  return splits;
}

}  // namespace automodel::data
