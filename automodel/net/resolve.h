// A model's name, as people write it, into a folder on this machine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "automodel/net/hub.h"

namespace automodel::net {

/// What of a model is needed. Each includes those before it. Pickles and other frameworks' weights are never fetched.
enum class ModelFiles {
  Config,     ///< config.json
  Tokenizer,  ///< and what belongs to tokenizer, chat template, processor and generation
  All,        ///< and the weights: model.safetensors, or the shards that its index names; or a PEFT adapter
};

/// An existing file or folder is itself. Otherwise "org/name" is taken from the Hub: the cache first, then the network
/// (Hub::from_environment(), with show_progress()). Throws CheckpointError for what is neither a folder nor can be a
/// name, HubError where the Hub says no or the repository has no weights in safetensors.
std::filesystem::path resolve_model(const std::string& name_or_path, const std::string& revision = "main",
                                    ModelFiles files = ModelFiles::All);
std::filesystem::path resolve_model(const Hub& hub, const std::string& name_or_path, const std::string& revision,
                                    ModelFiles files, const Progress& progress = {});

/// The same without network: nothing if the folder or the cached config.json is not there.
std::optional<std::filesystem::path> find_local_model(const std::string& name_or_path,
                                                      const std::string& revision = "main");

}  // namespace automodel::net
