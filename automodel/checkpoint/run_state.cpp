#include "automodel/checkpoint/run_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/checkpoint/model_folder.h"

namespace automodel::checkpoint {
namespace fs = std::filesystem;

static constexpr const char* kFormat = "automodel.state";

static std::string sharding_info(std::span<const NamedTensor> tensors) {
  std::vector<std::string> items;
  for (const auto& named : tensors) {
    const auto offsets =
        named.offsets.empty() ? std::vector<int64_t>(static_cast<size_t>(named.tensor.dim()), 0) : named.offsets;
    AM_CHECK(offsets.size() == static_cast<size_t>(named.tensor.dim()), "offsets of {}", named.name);
    items.push_back(
        fmt::format("{}: {{\"saved_offsets\": [{}]}}", nlohmann::json(named.name).dump(), fmt::join(offsets, ", ")));
  }
  return fmt::format("{{{}}}", fmt::join(items, ", "));
}

static void write_sharded(const fs::path& folder, const std::string& part, std::span<const NamedTensor> tensors,
                          const StateOptions& options, std::vector<FileRecord>& records) {
  std::vector<NamedTensor> present;  // a reader takes an empty piece for a fault
  std::vector<uint64_t> sizes;
  for (const auto& named : tensors) {
    if (named.tensor.numel() == 0) continue;
    present.push_back(named);
    sizes.push_back(stored_bytes(named.tensor, std::nullopt));
  }
  if (present.empty()) return;
  make_folders(folder / part);
  const auto shards = plan_shards(sizes, options.max_shard_size_bytes);
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    const auto name =
        fmt::format("shard-{:05}-model-{:05}-of-{:05}.safetensors", options.rank + 1, shard + 1, shards.size());
    std::vector<NamedTensor> pieces;
    for (const size_t i : shards[shard]) pieces.push_back(present[i]);
    auto record = write_safetensors(folder / part / name, pieces,
                                    {{"DCP_SHARDING_INFO", sharding_info(pieces)}, {"DCP_VERSION", "1.0"}});
    record.path = part + "/" + record.path;
    records.push_back(std::move(record));
  }
  sync_folder(folder / part);
}

std::vector<FileRecord> write_run_state(const fs::path& folder, const RunRecord& record,
                                        std::span<const NamedTensor> weights, std::span<const NamedTensor> optimizer,
                                        const StateOptions& options) {
  make_folders(folder);
  std::vector<FileRecord> records;
  write_sharded(folder, "weights", weights, options, records);
  write_sharded(folder, "optimizer", optimizer, options, records);
  if (options.rank == 0) {
    const Json tree = {{"format", kFormat},       {"version", kStateVersion},      {"step", record.step},
                       {"epoch", record.epoch},   {"optimizer", record.optimizer}, {"schedule", record.schedule},
                       {"random", record.random}, {"data", record.data},           {"layout", record.layout}};
    records.push_back(write_text_file(folder / "state.json", tree.dump(2) + "\n"));
  }
  sync_folder(folder);
  return records;
}

RunRecord load_run_record(const fs::path& folder) {
  const fs::path path = folder / "state.json";
  if (!fs::is_regular_file(path))
    throw CheckpointError(folder.string(), "holds no training state (state.json)",
                          "only a checkpoint with its state folder can be resumed; to start from its weights name its "
                          "model folder as the model");
  const Json tree = load_json(path);
  const auto fail = [&](const std::string& text) { throw CheckpointError(path.string(), text); };
  if (!tree.is_object() || tree.value("format", Json()) != kFormat) fail("is no training state of this program");
  const Json version = tree.value("version", Json());
  if (!version.is_number_integer() || version < 1 || version > kStateVersion)
    fail(fmt::format("has version {}, this build reads up to {}: a newer build wrote it", version.dump(),
                     kStateVersion));
  const auto number = [&](const char* key) {
    const auto found = tree.find(key);
    if (found == tree.end() || !found->is_number_integer() || found->get<int64_t>() < 0)
      fail(fmt::format("'{}' is no whole number", key));
    return found->get<int64_t>();
  };
  const auto object = [&](const char* key) -> Json {
    const auto found = tree.find(key);
    if (found == tree.end()) fail(fmt::format("'{}' is missing", key));
    return *found;
  };
  return {number("step"),   number("epoch"), object("optimizer"), object("schedule"),
          object("random"), object("data"),  object("layout")};
}

SavedState open_run_state(const fs::path& folder) {
  RunRecord record = load_run_record(folder);
  return {std::move(record), SavedTensors(folder / "weights"), SavedTensors(folder / "optimizer")};
}

}  // namespace automodel::checkpoint
