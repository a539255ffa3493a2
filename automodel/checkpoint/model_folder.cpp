#include "automodel/checkpoint/model_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/safetensors.h"

namespace automodel::checkpoint {
namespace fs = std::filesystem;

static constexpr const char* kNamedTemplates = "additional_chat_templates";  // a folder, whose files keep their place

static FileRecord copy_into(const fs::path& from, const fs::path& folder) {
  const bool nested = from.parent_path().filename() == kNamedTemplates;
  const fs::path place = nested ? fs::path(kNamedTemplates) / from.filename() : from.filename();
  make_folders((folder / place).parent_path());
  FileRecord record = write_text_file(folder / place, MappedFile(from).text());
  record.path = place.generic_string();
  if (nested) sync_folder(folder / kNamedTemplates);
  return record;
}

static void refuse_weights(const fs::path& folder) {
  for (const auto& file : fs::directory_iterator(folder))
    if (file.path().extension() == ".safetensors")
      throw CheckpointError(folder.string(), fmt::format("already holds weights ({})", file.path().filename().string()),
                            "choose an empty folder");
}

std::vector<std::vector<size_t>> plan_shards(std::span<const uint64_t> sizes_bytes, uint64_t max_bytes) {
  std::vector<std::vector<size_t>> shards;
  uint64_t filled = 0;
  for (size_t i = 0; i < sizes_bytes.size(); ++i) {
    if (shards.empty() || filled + sizes_bytes[i] > max_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(i);
    filled += sizes_bytes[i];
  }
  if (shards.empty()) shards.emplace_back();
  return shards;
}

static std::vector<FileRecord> write_weights(const fs::path& folder, std::span<const NamedTensor> tensors,
                                             const ModelFolderOptions& options) {
  std::vector<uint64_t> sizes;
  uint64_t total_bytes = 0, total_parameters = 0;
  for (const auto& named : tensors) {
    sizes.push_back(stored_bytes(named.tensor, options.dtype));
    total_bytes += sizes.back();
    total_parameters += static_cast<uint64_t>(named.tensor.numel());
  }
  const auto shards = plan_shards(sizes, options.max_shard_size_bytes);
  if (shards.size() == 1) return {write_safetensors(folder / "model.safetensors", tensors, {}, options.dtype)};

  std::vector<FileRecord> records;
  std::map<std::string, std::string> weight_map;
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    const auto file = fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards.size());
    std::vector<NamedTensor> pieces;
    for (const size_t i : shards[shard]) {
      pieces.push_back(tensors[i]);
      if (!weight_map.emplace(tensors[i].name, file).second)
        throw CheckpointError((folder / file).string() + ": " + tensors[i].name, "the name comes twice");
    }
    records.push_back(write_safetensors(folder / file, pieces, {}, options.dtype));
  }
  nlohmann::json index;
  index["metadata"] = {{"total_parameters", total_parameters}, {"total_size", total_bytes}};
  index["weight_map"] = weight_map;
  records.push_back(write_text_file(folder / "model.safetensors.index.json", index.dump(2) + "\n"));
  return records;
}

static void copy_files(const fs::path& folder, std::span<const fs::path> copies,
                       const std::optional<std::string>& chat_template, std::vector<FileRecord>& records) {
  for (const auto& file : copies)
    if (!chat_template || file.filename() != "chat_template.jinja") records.push_back(copy_into(file, folder));
  if (chat_template) records.push_back(write_text_file(folder / "chat_template.jinja", *chat_template));
}

std::vector<FileRecord> write_model_folder(const fs::path& folder, std::span<const NamedTensor> tensors,
                                           const ModelFiles& files, const ModelFolderOptions& options) {
  make_folders(folder);
  refuse_weights(folder);
  auto records = write_weights(folder, tensors, options);
  records.push_back(write_text_file(folder / "config.json", files.config));
  if (files.generation_config)
    records.push_back(write_text_file(folder / "generation_config.json", *files.generation_config));
  copy_files(folder, files.copies, files.chat_template, records);
  sync_folder(folder);
  return records;
}

std::vector<FileRecord> write_adapter_folder(const fs::path& folder, std::span<const NamedTensor> tensors,
                                             const Json& config, std::span<const fs::path> copies,
                                             const std::optional<std::string>& chat_template) {
  make_folders(folder);
  refuse_weights(folder);
  std::vector<FileRecord> records{write_safetensors(folder / "adapter_model.safetensors", tensors)};
  records.push_back(write_text_file(folder / "adapter_config.json", config.dump(2) + "\n"));
  copy_files(folder, copies, chat_template, records);
  sync_folder(folder);
  return records;
}

void write_folder_atomically(const fs::path& folder, const std::function<void(const fs::path&)>& write) {
  fs::path target = fs::absolute(folder).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // "out/"
  if (fs::exists(target) && (!fs::is_directory(target) || !fs::is_empty(target)))
    throw CheckpointError(folder.string(), "exists already and is not an empty folder",
                          "choose another folder: nothing is overwritten");
  make_folders(target.parent_path());
  const fs::path hidden = target.parent_path() / fmt::format(".{}.tmp{}", target.filename().string(), ::getpid());
  fs::remove_all(hidden);
  try {
    make_folders(hidden);
    write(hidden);
    sync_folder(hidden);
    fs::rename(hidden, target);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(hidden, ignored);
    throw SystemError(folder.string(), fmt::format("cannot be written: {}", error.code().message()));
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(hidden, ignored);
    throw;
  }
  sync_folder(target.parent_path());
}

}  // namespace automodel::checkpoint
