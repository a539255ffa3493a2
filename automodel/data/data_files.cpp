#include "automodel/data/data_files.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::data {
namespace fs = std::filesystem;

static std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string data_file_ending(const std::string& path) {
  const fs::path file(path);
  const std::string ending = lower(file.extension().string());
  if (ending == ".gz" || ending == ".zst" || ending == ".bz2" || ending == ".xz")
    return lower(file.stem().extension().string()) + ending;
  return ending;
}

static bool is_data_file(const fs::path& path) {
  static const std::vector<std::string> endings = {".jsonl", ".ndjson", ".json",    ".txt",  ".text",
                                                   ".csv",   ".tsv",    ".parquet", ".arrow"};
  std::string ending = data_file_ending(path.string());
  for (const auto* packed : {".gz", ".zst", ".bz2", ".xz"})
    if (ending.ends_with(packed)) ending = ending.substr(0, ending.size() - std::string_view(packed).size());
  const std::string name = path.filename().string();
  static const std::vector<std::string> others = {"dataset_info.json", "dataset_infos.json", "state.json",
                                                  "dataset_dict.json"};
  return name[0] != '.' && name[0] != '_' && std::find(others.begin(), others.end(), name) == others.end() &&
         std::find(endings.begin(), endings.end(), ending) != endings.end();
}

static std::vector<std::string> names_of_split(const std::string& split) {
  for (const std::vector<std::string>& names : {std::vector<std::string>{"train", "training"},
                                                {"validation", "valid", "val", "dev"},
                                                {"test", "testing", "eval", "evaluation"}})
    if (std::find(names.begin(), names.end(), split) != names.end()) return names;
  return {split};
}

static bool has_word(std::string_view name, std::string_view word) {
  for (size_t at = name.find(word); at != std::string_view::npos; at = name.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool starts = at == 0 || !std::isalpha(static_cast<unsigned char>(name[at - 1]));
    const bool ends = end == name.size() || !std::isalpha(static_cast<unsigned char>(name[end]));
    if (starts && ends) return true;
  }
  return false;
}

static bool names_split(const fs::path& file, const std::string& split) {
  for (const auto& name : names_of_split(split))
    if (has_word(lower(file.filename().string()), lower(name)) ||
        lower(file.parent_path().filename().string()) == lower(name))
      return true;
  return false;
}

static std::vector<fs::path> list_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && is_data_file(entry.path())) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

static std::vector<std::string> find_in_folder(const fs::path& folder, const std::string& split) {
  std::vector<fs::path> all = list_folder(folder);
  for (const auto& name : {std::string("data"), split})
    for (auto& file : list_folder(folder / name)) all.push_back(std::move(file));
  std::vector<std::string> found, names;
  bool any_split = false;
  for (const auto& file : all) {
    names.push_back(file.lexically_relative(folder).string());
    for (const auto* known : {"train", "validation", "test"})
      any_split = any_split || names_split(file.lexically_relative(folder), known);
    if (names_split(file.lexically_relative(folder), split)) found.push_back(file.string());
  }
  if (found.empty() && !any_split && split == "train")
    for (const auto& file : all) found.push_back(file.string());
  if (found.empty())
    throw DataError(folder.string(),
                    fmt::format("holds no file of the split '{}' (data files there: {})", split,
                                names.empty() ? "none" : join(names, ", ")),
                    fmt::format("name the file {}.jsonl, or give its path instead of the folder's", split));
  return found;
}

static std::vector<std::string> expand_pattern(const std::string& pattern) {
  glob_t matches{};
  const int status = ::glob(pattern.c_str(), 0, nullptr, &matches);
  std::vector<std::string> found;
  for (size_t i = 0; status == 0 && i < matches.gl_pathc; ++i)
    if (fs::is_regular_file(matches.gl_pathv[i])) found.emplace_back(matches.gl_pathv[i]);
  ::globfree(&matches);
  if (found.empty()) throw DataError(pattern, "matches no file");
  return found;
}

std::vector<std::string> find_data_files(const std::vector<std::string>& paths, const std::string& split) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      for (auto& file : find_in_folder(path, split.empty() ? "train" : split)) files.push_back(std::move(file));
    } else if (fs::exists(path, ignored)) {
      files.push_back(path);
    } else if (path.find_first_of("*?") != std::string::npos) {
      for (auto& file : expand_pattern(path)) files.push_back(std::move(file));
    } else if (path.starts_with("hf://") ||
               (path.find('/') == std::string::npos && fs::path(path).extension().empty()) ||
               (std::count(path.begin(), path.end(), '/') == 1 && path[0] != '/' && path[0] != '.' &&
                data_file_ending(path).empty())) {
      throw UnsupportedError(path,
                             "there is no such file or folder; a data set of the Hub cannot be fetched by this build",
                             "download it and give the folder or the .jsonl file");
    } else {
      throw DataError(path, "there is no such file or folder");
    }
  }
  return files;
}

}  // namespace automodel::data
