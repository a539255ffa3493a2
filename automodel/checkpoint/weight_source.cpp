#include "automodel/checkpoint/weight_source.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/text.h"

namespace automodel::checkpoint {
namespace fs = std::filesystem;

static constexpr std::string_view kIndexName = "model.safetensors.index.json";
static constexpr uint64_t kMaxIndexBytes = 1 << 28;

std::optional<WeightSource::Found> WeightSource::find(const std::string& name) const {
  const auto exact = [&](const std::string& stored) -> std::optional<Found> {
    const auto found = file_of_.find(stored);
    if (found == file_of_.end()) return std::nullopt;
    const auto& file = files_[found->second];
    return Found{&file, file.find(stored)};
  };
  if (auto found = exact(name)) return found;
  for (const auto& prefix : prefixes_) {
    if (name.starts_with(prefix))
      if (auto found = exact(name.substr(prefix.size()))) return found;
    if (auto found = exact(prefix + name)) return found;
  }
  return std::nullopt;
}

WeightSource::Found WeightSource::at(const std::string& name) const {
  if (auto found = find(name)) return *found;
  const std::string near = nearest(name, names_);
  throw CheckpointError(path_.string(), fmt::format("holds no tensor '{}'", name),
                        near.empty() ? "" : fmt::format("it holds '{}'", near));
}

at::Tensor WeightSource::view(const std::string& name) const {
  const auto found = at(name);
  return found.file->view(*found.entry);
}

uint64_t WeightSource::bytes() const {
  uint64_t sum = 0;
  for (const auto& file : files_)
    for (const auto& entry : file.tensors()) sum += entry.bytes();
  return sum;
}

void WeightSource::add_file(const fs::path& path, const std::unordered_map<std::string, std::string>* weight_map) {
  const SafetensorsFile& file = files_.emplace_back(path);
  for (const auto& entry : file.tensors()) {
    if (weight_map) {
      const auto listed = weight_map->find(entry.name);
      if (listed == weight_map->end())
        throw CheckpointError(path.string() + ": " + entry.name,
                              fmt::format("the tensor is not listed in {}", kIndexName),
                              "index and shards come from different checkpoints: fetch or write both again");
      if (listed->second != path.filename()) continue;  // a copy; the index says which one counts
    }
    file_of_.emplace(entry.name, files_.size() - 1);
    names_.push_back(entry.name);
  }
}

// {"metadata": {...}, "weight_map": {name: shard}}; nlohmann::json, whose maps are sorted, for names by the ten
// thousand.
static std::unordered_map<std::string, std::string> load_weight_map(const fs::path& index) {
  const std::string text = read_file(index, kMaxIndexBytes);
  const auto fail = [&](const std::string& reason) { throw CheckpointError(index.string(), reason); };
  nlohmann::json tree;
  try {
    tree = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail(fmt::format("is not valid JSON: {}", error.what()));
  }
  const auto map = tree.is_object() ? tree.find("weight_map") : tree.end();
  if (!tree.is_object() || map == tree.end() || !map->is_object() || map->empty())
    fail("has no 'weight_map' of tensor names to shards");
  std::unordered_map<std::string, std::string> weight_map;
  for (const auto& [name, shard] : map->items()) {
    if (!shard.is_string()) fail(fmt::format("weight_map['{}'] is {}, expected a file name", name, shard.dump()));
    const std::string file = shard.get<std::string>();
    if (fs::path(file).filename() != file || !file.ends_with(".safetensors"))
      fail(fmt::format("weight_map['{}'] is '{}', expected the name of a .safetensors file in the same folder", name,
                       file));
    weight_map.emplace(name, file);
  }
  return weight_map;
}

void WeightSource::add_shards(const fs::path& index) {
  const auto weight_map = load_weight_map(index);
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) shards.insert(shard);
  std::vector<std::string> missing;
  for (const auto& shard : shards)
    if (!fs::exists(path_ / shard)) missing.push_back(shard);
  if (!missing.empty()) {
    const size_t count = missing.size();
    if (count > 5) missing.resize(5), missing.push_back("...");
    throw CheckpointError(path_.string(),
                          fmt::format("{} of {} shards are missing: {}", count, shards.size(), join(missing, ", ")),
                          "the folder was fetched only in part: fetch those files too");
  }
  files_.reserve(shards.size());
  for (const auto& shard : shards) add_file(path_ / shard, &weight_map);
  std::set<std::string> absent;
  for (const auto& [name, shard] : weight_map)
    if (!file_of_.contains(name)) absent.insert(name);
  if (!absent.empty()) {
    const auto& first = *absent.begin();
    throw CheckpointError(
        (path_ / weight_map.at(first)).string() + ": " + first,
        fmt::format("the index lists the tensor in this shard, which does not hold it ({} such tensors)",
                    absent.size()),
        "index and shards come from different checkpoints: fetch or write both again");
  }
}

static void refuse_folder(const fs::path& folder) {
  std::vector<std::string> pickles, others;
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".ckpt"))
      pickles.push_back(name);
    if (name.ends_with(".safetensors")) others.push_back(name);
  }
  std::sort(pickles.begin(), pickles.end());
  std::sort(others.begin(), others.end());
  if (!others.empty())
    throw CheckpointError(folder.string(),
                          fmt::format("has neither model.safetensors nor {}, but {} other .safetensors files ({}, ...)",
                                      kIndexName, others.size(), others.front()),
                          fmt::format("fetch {} too, or name one file", kIndexName));
  if (!pickles.empty())
    throw CheckpointError(
        folder.string(),
        fmt::format("holds its weights as pickle ({}), which is never read: it can run code", pickles.front()),
        "use a revision with safetensors, or convert it with transformers: save_pretrained(..., "
        "safe_serialization=True)");
  throw CheckpointError(
      folder.string(),
      fmt::format("holds no weights: expected model.safetensors, {} or adapter_model.safetensors", kIndexName));
}

WeightSource open_weights(const fs::path& path, std::vector<std::string> prefixes) {
  WeightSource source;
  source.path_ = path;
  source.prefixes_ = std::move(prefixes);
  if (!fs::exists(path))
    throw CheckpointError(path.string(), "does not exist", "give a folder with safetensors, or one such file");
  if (!fs::is_directory(path)) {
    source.add_file(path, nullptr);
  } else if (fs::exists(path / "model.safetensors")) {
    source.add_file(path / "model.safetensors", nullptr);
  } else if (fs::exists(path / kIndexName)) {
    source.add_shards(path / kIndexName);
  } else if (fs::exists(path / "adapter_model.safetensors")) {
    source.add_file(path / "adapter_model.safetensors", nullptr);
  } else {
    refuse_folder(path);
  }
  std::sort(source.names_.begin(), source.names_.end());
  return source;
}

}  // namespace automodel::checkpoint
