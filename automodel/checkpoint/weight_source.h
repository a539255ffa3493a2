// The weights of a Hugging Face folder as one table of names, however they are spread over files.
//
// Understood: model.safetensors; model.safetensors.index.json with its shards; adapter_model.safetensors (PEFT); or the
// path of one .safetensors file. Pickle files (pytorch_model.bin) are refused: reading them would run what they hold.
#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "automodel/checkpoint/safetensors.h"

namespace automodel::checkpoint {

/// Opened files; every name of the index is known to be in its shard, with valid offsets. Copies share the mappings.
class WeightSource {
 public:
  struct Found {
    const SafetensorsFile* file;
    const TensorEntry* entry;  // entry->name is the name in the file
  };

  /// The tensor called `name` in the state dict. If no file holds that very name, the prefixes handed to open_weights
  /// are tried in turn: first without it ("transformer.h.0" is stored as "h.0"), then with it.
  std::optional<Found> find(const std::string& name) const;
  /// As find(), but a missing tensor is a CheckpointError.
  Found at(const std::string& name) const;
  at::Tensor view(const std::string& name) const;

  /// All names as the files have them, sorted.
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<SafetensorsFile>& files() const { return files_; }
  const std::vector<std::string>& prefixes() const { return prefixes_; }
  /// The folder or file that was opened, for messages.
  const std::filesystem::path& path() const { return path_; }
  uint64_t bytes() const;  // of all tensors

 private:
  friend WeightSource open_weights(const std::filesystem::path&, std::vector<std::string>);
  void add_file(const std::filesystem::path& path, const std::unordered_map<std::string, std::string>* weight_map);
  void add_shards(const std::filesystem::path& index);

  std::filesystem::path path_;
  std::vector<std::string> prefixes_;
  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string, size_t> file_of_;  // name in the file -> files_
  std::vector<std::string> names_;
};

/// Opens a folder or file. `prefixes` are the family's base-model prefixes with their dot, e.g. {"model."}; none: exact
/// names. Throws CheckpointError when there are no weights, a shard is missing, cut short or damaged, the index names a
/// tensor that its shard lacks, or a shard holds one that the index does not list.
WeightSource open_weights(const std::filesystem::path& path, std::vector<std::string> prefixes = {});

}  // namespace automodel::checkpoint
