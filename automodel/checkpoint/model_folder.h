// Writing what others read: a folder that transformers' from_pretrained (and vLLM) loads as it is, or a PEFT adapter
// folder.
//
// The folder is not published here: a reader could see it half-written. Write it inside a run folder's hidden one
// (run_folder.h), or through write_model_folder_atomically.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/checkpoint/safetensors_writer.h"

namespace automodel::checkpoint {

/// Everything in the folder but the weights. Texts are written as they are given.
struct ModelFiles {
  std::string config;                            // config.json
  std::optional<std::string> generation_config;  // generation_config.json
  std::optional<std::string> chat_template;      // chat_template.jinja
  /// Tokenizer files to copy under their own names (those of a folder: tokenizer::tokenizer_files).
  std::vector<std::filesystem::path> copies;
};

struct ModelFolderOptions {
  uint64_t max_shard_size_bytes = 5'000'000'000;  // as save_pretrained's "5GB"; a larger tensor gets a shard of its own
  std::optional<at::ScalarType> dtype;            // floating tensors are stored as this; unset: as they are
};

/// Writes into `folder` (made if absent; must hold no weights yet): model.safetensors if all fits into one shard, else
/// model-00001-of-0000N.safetensors and model.safetensors.index.json with transformers' layout ({"metadata":
/// {"total_parameters", "total_size"}, "weight_map"}), and `files`. Tensors keep the order they come in. Every file is
/// flushed to disk, and the folder. Returns what was written. Throws SystemError (full disk), CheckpointError (name
/// twice, dtype, folder that holds weights).
std::vector<FileRecord> write_model_folder(const std::filesystem::path& folder, std::span<const NamedTensor> tensors,
                                           const ModelFiles& files, const ModelFolderOptions& options = {});

/// adapter_model.safetensors and adapter_config.json as PEFT's save_pretrained writes them. Names are PEFT's, e.g.
/// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"; config is what adapter_config.json shall hold;
/// `chat_template`, if given, is written as chat_template.jinja instead of a copied one.
std::vector<FileRecord> write_adapter_folder(const std::filesystem::path& folder, std::span<const NamedTensor> tensors,
                                             const Json& config, std::span<const std::filesystem::path> copies = {},
                                             const std::optional<std::string>& chat_template = {});

/// The folder appears whole or not at all: written beside its place under a hidden name, then renamed. `write` gets the
/// hidden folder. Throws CheckpointError when `folder` exists and is not empty.
void write_folder_atomically(const std::filesystem::path& folder,
                             const std::function<void(const std::filesystem::path& hidden)>& write);

/// The assignment of tensors (by index) to shards: in order, a new shard when the next tensor would exceed `max_bytes`.
std::vector<std::vector<size_t>> plan_shards(std::span<const uint64_t> sizes_bytes, uint64_t max_bytes);

}  // namespace automodel::checkpoint
