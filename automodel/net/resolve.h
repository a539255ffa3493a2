// A model's name, as people write it, into a folder on this machine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "automodel/net/hub.h"

namespace automodel::net {

/// What of a model is needed. Each includes those before it. Pickles and other frameworks' weights are never fetched.
enum class ModelFiles {
  Config,     ///< config.json
  Tokenizer,  ///< and what belongs to tokenizer, chat template, processor and generation
  All,        ///< and the weights: model.safetensors, or the shards that its index names; or a PEFT adapter
};

/// True if this could be a repository's name: "name" or "org/name" of letters, digits and "-_.".
bool could_be_repo(const std::string& text);

/// An existing file or folder is itself. Otherwise "org/name" is taken from the Hub: what the cache lacks of it comes
/// over the network (Hub::from_environment(), with show_progress()). `revision` "" is main, `cache_dir` "" the
/// environment's. Throws CheckpointError for what is neither there nor can be a name, and as fetch_model() does.
std::filesystem::path resolve_model(const std::string& name_or_path, const std::string& revision = "",
                                    ModelFiles files = ModelFiles::All, const std::string& cache_dir = "");

/// The folder of a model of the Hub with the files that are needed, all of one commit. Throws HubError where the Hub
/// says no or the repository has no weights in safetensors.
std::filesystem::path fetch_model(const Hub& hub, Repo repo, ModelFiles files, const Progress& progress = {});

/// Without network: nothing if neither the folder nor a cached config.json is there.
std::optional<std::filesystem::path> find_local_model(const std::string& name_or_path, const std::string& revision = "",
                                                      const std::string& cache_dir = "");

/// The names of the models in the cache whose config.json of revision main is there, in no particular order.
std::vector<std::string> cached_models(const std::string& cache_dir = "");

}  // namespace automodel::net
