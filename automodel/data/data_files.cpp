#include "automodel/data/data_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/data/path_pattern.h"

namespace automodel::data {
namespace fs = std::filesystem;

static constexpr size_t kMaxFiles = 1'000'000;
static constexpr std::string_view kHubScheme = "hf://datasets/";

bool is_hub_dataset(const std::string& path) {
  if (path.starts_with(kHubScheme)) return true;
  std::error_code ignored;
  if (path.empty() || fs::exists(path, ignored) || is_path_pattern(path) || path[0] == '/' || path[0] == '.')
    return false;
  const auto slashes = std::count(path.begin(), path.end(), '/');
  return slashes <= 1 && !is_data_file(path);
}

/// Regular files below a folder, relative and sorted.
static std::vector<std::string> list_files(const fs::path& folder) {
  std::vector<std::string> files;
  auto entry = fs::recursive_directory_iterator(
      folder, fs::directory_options::follow_directory_symlink | fs::directory_options::skip_permission_denied);
  for (; entry != fs::recursive_directory_iterator(); ++entry) {
    if (entry.depth() > 32 || (entry->is_directory() && entry->path().filename() == ".git")) {
      entry.disable_recursion_pending();
      continue;
    }
    if (entry->is_regular_file()) files.push_back(entry->path().lexically_relative(folder).string());
    if (files.size() > kMaxFiles)
      throw DataError(folder.string(), fmt::format("holds more than {} files", kMaxFiles),
                      "give the data's own folder");
  }
  std::sort(files.begin(), files.end());
  return files;
}

namespace {

class LocalFolder : public DatasetRepo {
 public:
  explicit LocalFolder(fs::path folder) : folder_(std::move(folder)) {}
  FolderListing list() override {
    FolderListing listing{folder_.string(), list_files(folder_), ""};
    if (fs::is_regular_file(folder_ / "README.md")) listing.readme = read_file(folder_ / "README.md", 64 << 20);
    return listing;
  }
  std::string fetch(const std::string& file) override { return (folder_ / file).string(); }

 private:
  fs::path folder_;
};

bool has_word(std::string_view name, std::string_view word) {
  for (size_t at = name.find(word); at != std::string_view::npos; at = name.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool starts = at == 0 || !std::isalpha(static_cast<unsigned char>(name[at - 1]));
    const bool ends = end == name.size() || !std::isalpha(static_cast<unsigned char>(name[end]));
    if (starts && ends) return true;
  }
  return false;
}

std::vector<std::string> words_of(const std::string& split) {
  if (split == "validation") return {"validation", "valid", "dev", "val"};
  if (split == "test") return {"test", "testing", "eval", "evaluation"};
  if (split == "train") return {"train", "training"};
  return {split};
}

bool is_named_for(const fs::path& file, const std::string& split) {
  const auto words = words_of(split);
  return std::any_of(words.begin(), words.end(),
                     [&](const auto& word) { return has_word(file.filename().string(), word); });
}

/// Data files with the split's name in their own or their folder's.
std::vector<std::string> files_by_word(const FolderListing& folder, const std::string& split) {
  std::vector<std::string> found;
  for (const auto& file : folder.files) {
    if (!is_data_file(file) || file[0] == '.') continue;
    const auto words = words_of(split);
    const std::string parent = fs::path(file).parent_path().filename().string();
    if (is_named_for(file, split) || std::find(words.begin(), words.end(), parent) != words.end())
      found.push_back(file);
  }
  return found;
}

std::vector<std::string> files_of_split(const FolderListing& folder, const std::string& name,
                                        const std::string& split) {
  const SplitFiles splits = find_splits(folder, name);
  std::vector<std::string> names, all;
  for (const auto& [known, files] : splits) {
    if (known == split) return files;
    names.push_back(known);
    all.insert(all.end(), files.begin(), files.end());
  }
  if (split == "all" && !all.empty()) return all;
  const bool by_card = !config_names(folder).empty();
  if (const auto found = files_by_word(folder, split); !by_card && !found.empty()) return found;
  std::vector<std::string> data;
  std::copy_if(folder.files.begin(), folder.files.end(), std::back_inserter(data), is_data_file);
  if (data.size() > 20) data.resize(20), data.push_back("...");
  throw DataError(folder.name,
                  fmt::format("holds no file of the split '{}' (data files there: {}; splits: {})", split,
                              data.empty() ? "none" : join(data, ", "), names.empty() ? "none" : join(names, ", ")),
                  by_card ? "README.md says which files a split has"
                          : fmt::format("name the file {}.jsonl, or give its path instead of the folder's", split));
}

/// The Arrow files of one data set that datasets' save_to_disk wrote.
std::vector<DataFile> saved_files(const fs::path& folder, const Json& state) {
  const std::string place = (folder / "state.json").string();
  if (!state.is_object() || !state.contains("_data_files") || !state["_data_files"].is_array())
    throw DataError(place, "names no _data_files");
  if (const auto indices = state.find("_indices_data_files");
      indices != state.end() && !indices->is_null() && !indices->empty())
    throw UnsupportedError(folder.string(), "was saved with a list of row numbers of its own",
                           "save it again after flatten_indices()");
  std::vector<DataFile> files;
  for (const auto& file : state["_data_files"]) {
    const std::string name = file.is_object() ? file.value("filename", "") : "";
    if (name.empty() || name.find('/') != std::string::npos) throw DataError(place, "holds a data file without a name");
    files.push_back({(folder / name).string(), name, {}});
  }
  return files;
}

/// A folder of save_to_disk with one data set: it is train, unless it knows the split that it once was.
std::vector<DataFile> saved_set(const fs::path& folder, const std::string& split) {
  const Json state = load_json(folder / "state.json");
  const auto known = state.is_object() ? state.find("_split") : state.end();
  const std::string own = known != state.end() && known->is_string() ? known->get<std::string>() : "train";
  if (!split.empty() && split != "all" && split != "train" && split != own)
    throw DataError(folder.string(),
                    fmt::format("was saved as one data set: it has no split '{}' (splits: {})", split, own),
                    "leave split out, or take a part of it: train[:10%]");
  return saved_files(folder, state);
}

/// A folder of save_to_disk with several data sets, one folder each.
std::vector<DataFile> saved_sets(const fs::path& folder, const std::string& split) {
  const Json dict = load_json(folder / "dataset_dict.json");
  std::vector<std::string> names;
  if (dict.is_object() && dict.contains("splits") && dict["splits"].is_array())
    for (const auto& name : dict["splits"])
      if (name.is_string() && fs::path(name.get<std::string>()).filename() == name.get<std::string>())
        names.push_back(name.get<std::string>());
  std::vector<DataFile> files;
  for (const auto& name : names) {
    if (split != "all" && split != name) continue;
    auto found = saved_files(folder / name, load_json(folder / name / "state.json"));
    files.insert(files.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  if (files.empty() && (split == "all" || std::find(names.begin(), names.end(), split) == names.end()))
    throw DataError(folder.string(),
                    fmt::format("has no split '{}' (splits: {})", split, names.empty() ? "none" : join(names, ", ")));
  return files;
}

std::vector<DataFile> files_of_folder(const fs::path& folder, const DataPlace& place, const std::string& wanted) {
  const std::string split = wanted.empty() ? "train" : wanted;
  const bool several = fs::exists(folder / "dataset_dict.json"), one = fs::exists(folder / "state.json");
  if ((several || one) && !place.name.empty())
    throw ConfigError("dataset.name", fmt::format("{} has no configurations: save_to_disk wrote it", folder.string()));
  if (several) return saved_sets(folder, split);
  if (one) return saved_set(folder, wanted);
  LocalFolder local(folder);
  std::vector<DataFile> files;
  for (const auto& file : files_of_split(local.list(), place.name, split))
    files.push_back({local.fetch(file), file, {}});
  return files;
}

std::vector<DataFile> files_of_repo(std::string id, const DataPlace& place, const std::string& split) {
  if (!place.hub)
    throw UnsupportedError(id, "there is no such file or folder; a data set of the Hub cannot be fetched by this build",
                           "download it and give the folder or the .jsonl file");
  if (id.starts_with(kHubScheme)) id = id.substr(kHubScheme.size());
  std::string revision = place.revision;
  if (const size_t at = id.find('@'); at != std::string::npos) {
    revision = id.substr(at + 1);
    id.resize(at);
  }
  const auto repo = place.hub(id, revision);
  const std::vector<std::string> names = files_of_split(repo->list(), place.name, split);
  if (place.all_needed || names.size() == 1) repo->require(names);
  std::vector<DataFile> files;
  for (const auto& file : names) files.push_back({"", id + "/" + file, [repo, file] { return repo->fetch(file); }});
  return files;
}

std::vector<DataFile> files_of_pattern(const std::string& pattern) {
  fs::path base;  // the parts in front of the first with a wildcard
  for (const auto& part : fs::path(pattern)) {
    if (is_path_pattern(part.string())) break;
    base /= part;
  }
  const std::string root = base.empty() ? "." : base.string();
  std::vector<DataFile> files;
  if (fs::is_directory(root)) {
    std::string rest = base.empty() ? pattern : pattern.substr(base.string().size());
    while (rest.starts_with('/')) rest.erase(0, 1);
    for (const auto& file : match_paths(rest, list_files(root)))
      files.push_back({base.empty() ? file : (base / file).string(), file, {}});
  }
  if (files.empty()) throw DataError(pattern, "matches no file");
  return files;
}

/// Files given by their names are the split train, as in Hugging Face datasets; beyond that one whose own name says
/// another split (validation.jsonl) is that one.
void require_split_of_files(const std::vector<DataFile>& files, const std::string& split) {
  if (split.empty() || split == "train" || split == "all") return;
  for (const auto& file : files)
    if (!is_named_for(file.name, split))
      throw DataError(file.path, fmt::format("is a single file and has no split '{}' (splits: train)", split),
                      fmt::format("leave split out, or take a part of the file: train[:10%]; only a file named for it, "
                                  "such as {}.jsonl, is the split '{}'",
                                  split, split));
}

}  // namespace

std::vector<DataFile> find_data_files(const DataPlace& place, const std::string& split) {
  std::vector<DataFile> files;
  for (const auto& path : place.paths) {
    std::error_code ignored;
    const bool local = !is_hub_dataset(path);
    const bool folder = local && fs::is_directory(path, ignored);
    if (local && !place.revision.empty())
      throw ConfigError("dataset.revision",
                        fmt::format("is '{}', but {} is no data set of the Hub", place.revision, path), "leave it out");
    if (local && !folder && !place.name.empty())
      throw ConfigError("dataset.name", fmt::format("is '{}', but {} is no folder with a README.md", place.name, path),
                        "leave it out");
    std::vector<DataFile> found;
    if (!local) {
      found = files_of_repo(path, place, split.empty() ? "train" : split);
    } else if (folder) {
      found = files_of_folder(path, place, split);
    } else if (fs::exists(path, ignored)) {
      if (!fs::is_regular_file(path, ignored))
        throw DataError(path, "is no file", "rows are read in any order and again: write what a pipe gives to a file");
      found = {{path, path, {}}};
    } else if (is_path_pattern(path)) {
      found = files_of_pattern(path);
    } else {
      throw DataError(path, "there is no such file or folder");
    }
    if (local && !folder) require_split_of_files(found, split);
    files.insert(files.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  return files;
}

}  // namespace automodel::data
