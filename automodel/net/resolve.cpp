#include "automodel/net/resolve.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/net/answers.h"
#include "automodel/net/repo_cache.h"

namespace automodel::net {
namespace fs = std::filesystem;

constexpr const char* kIndex = "model.safetensors.index.json";

// Files of the repository's top folder that are read for tokens, templates and generation.
static bool is_small_file(const std::string& path) {
  static const std::set<std::string> kNames = {"config.json",
                                               "generation_config.json",
                                               "adapter_config.json",
                                               "tokenizer.json",
                                               "vocab.json",
                                               "tokenizer_config.json",
                                               "special_tokens_map.json",
                                               "added_tokens.json",
                                               "vocab.txt",
                                               "merges.txt",
                                               "chat_template.json",
                                               "chat_template.jinja",
                                               "tekken.json",
                                               "preprocessor_config.json",
                                               "processor_config.json",
                                               kIndex};
  if (kNames.contains(path)) return true;
  if (path.starts_with("additional_chat_templates/") && path.ends_with(".jinja")) return true;
  if (path.find('/') != path.npos) return false;
  return path.ends_with(".model") || path.ends_with(".tiktoken") || path.find(".model.v") != path.npos;  // Mistral's
}

static std::vector<std::string> shards_of(const fs::path& index) {
  const Json json = load_json(index);
  std::set<std::string> names;
  if (json.is_object() && json.contains("weight_map") && json.at("weight_map").is_object())
    for (const auto& [tensor, file] : json.at("weight_map").items())
      if (file.is_string() && is_safe_path(file.get<std::string>())) names.insert(file.get<std::string>());
  if (names.empty()) throw CheckpointError(index.string(), "names no shards", "expected a weight_map");
  return {names.begin(), names.end()};
}

static std::vector<std::string> weight_files(const Repo& repo, const Listing& listing, const fs::path& folder) {
  std::set<std::string> there;
  std::string pickle;
  for (const auto& file : listing.files) {
    there.insert(file.path);
    for (const char* ending : {".bin", ".pt", ".pth", ".ckpt"})
      if (pickle.empty() && file.path.ends_with(ending)) pickle = file.path;
  }
  if (there.contains("model.safetensors")) return {"model.safetensors"};
  if (there.contains(kIndex)) {
    const auto shards = shards_of(folder / kIndex);
    for (const auto& shard : shards)
      if (!there.contains(shard))
        throw HubError(repo.repo, fmt::format("has no {}, which its {} names", shard, kIndex),
                       "the repository is not whole: choose another revision");
    return shards;
  }
  if (there.contains("adapter_model.safetensors")) return {"adapter_model.safetensors"};
  if (!pickle.empty())
    throw HubError(repo.repo,
                   fmt::format("holds its weights as pickle ({}), which is never fetched: it can run code", pickle),
                   "choose a revision or a repository with safetensors");
  throw HubError(repo.repo,
                 fmt::format("holds no weights: expected model.safetensors, {} or adapter_model.safetensors", kIndex),
                 "choose another repository");
}

fs::path fetch_model(const Hub& hub, Repo repo, ModelFiles files, const Progress& progress) {
  const Listing listing = hub.list(repo);
  repo.revision = listing.commit;  // one commit for all steps, whatever is pushed meanwhile
  std::vector<std::string> wanted;
  for (const auto& file : listing.files)
    if (files == ModelFiles::Config ? file.path == "config.json" || file.path == "adapter_config.json"
                                    : is_small_file(file.path))
      wanted.push_back(file.path);
  if (wanted.empty())
    throw HubError(repo.repo, "has neither config.json nor a tokenizer: it is no model in Hugging Face layout",
                   "choose another repository");
  const fs::path folder = hub.snapshot(repo, wanted, progress);
  return files == ModelFiles::All ? hub.snapshot(repo, weight_files(repo, listing, folder), progress) : folder;
}

static Hub hub_with(const std::string& cache_dir) {
  Hub hub = Hub::from_environment();
  if (cache_dir.empty()) return hub;
  HubSettings settings = hub.settings();
  settings.cache = fs::absolute(cache_dir);
  return Hub(std::move(settings));
}

static Repo model_repo(const std::string& name, const std::string& revision) {
  return {name, RepoKind::Model, revision.empty() ? "main" : revision};
}

fs::path resolve_model(const std::string& name_or_path, const std::string& revision, ModelFiles files,
                       const std::string& cache_dir) {
  if (std::error_code ignored; fs::exists(name_or_path, ignored)) return name_or_path;
  if (!could_be_repo(name_or_path))
    throw CheckpointError(name_or_path, "does not exist",
                          "expected a folder in Hugging Face layout, or a name on the Hub like org/model");
  return fetch_model(hub_with(cache_dir), model_repo(name_or_path, revision), files, show_progress());
}

std::optional<fs::path> find_local_model(const std::string& name_or_path, const std::string& revision,
                                         const std::string& cache_dir) {
  std::error_code ignored;
  if (fs::exists(name_or_path, ignored)) return name_or_path;
  if (!could_be_repo(name_or_path)) return std::nullopt;
  const auto folder = hub_with(cache_dir).find_cached(model_repo(name_or_path, revision));
  if (!folder || !fs::exists(*folder / "config.json", ignored)) return std::nullopt;
  return folder;
}

std::vector<std::string> cached_models(const std::string& cache_dir) {
  constexpr std::string_view kPrefix = "models--";
  constexpr size_t kMostRead = 10'000;
  std::vector<std::string> names;
  std::error_code failed, ignored;
  size_t read = 0;
  for (fs::directory_iterator entry(hub_with(cache_dir).settings().cache, failed), end;
       !failed && entry != end && ++read < kMostRead; entry.increment(failed)) {
    const std::string folder = entry->path().filename().string();
    if (!folder.starts_with(kPrefix)) continue;
    const std::string name = replace_all(folder.substr(kPrefix.size()), "--", "/");
    if (could_be_repo(name) && find_local_model(name, "", cache_dir)) names.push_back(name);
  }
  return names;
}

}  // namespace automodel::net
