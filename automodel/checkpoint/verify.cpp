#include "automodel/checkpoint/verify.h"

#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/manifest.h"
#include "automodel/checkpoint/run_folder.h"
#include "automodel/checkpoint/run_state.h"
#include "automodel/checkpoint/weight_source.h"

namespace automodel::checkpoint {
namespace fs = std::filesystem;

Json VerifyReport::to_json() const {
  return {{"ok", ok()},         {"kind", kind},   {"files", files},   {"checksums", checksums},
          {"tensors", tensors}, {"bytes", bytes}, {"faults", faults}, {"notes", notes}};
}

namespace {

enum class Kind { Run, Checkpoint, State, Model, Adapter, File };

Kind kind_of(const fs::path& path) {
  if (!fs::exists(path)) throw CheckpointError(path.string(), "does not exist");
  if (!fs::is_directory(path)) return Kind::File;
  if (fs::exists(path / "manifest.json")) return Kind::Checkpoint;
  if (fs::exists(path / "state.json")) return Kind::State;
  if (fs::exists(path / "adapter_model.safetensors")) return Kind::Adapter;
  for (const auto& item : fs::directory_iterator(path))
    if (item.path().extension() == ".safetensors" || item.path().filename() == "config.json" ||
        item.path().filename() == "model.safetensors.index.json")
      return Kind::Model;
  open_run(path);  // says what is wrong with it if it is no run's folder either
  return Kind::Run;
}

const char* kind_name(Kind kind) {
  constexpr const char* kNames[] = {"run", "checkpoint", "state", "model", "adapter", "file"};
  return kNames[static_cast<int>(kind)];
}

// Runs a check and turns the fault that it throws into a line of the report.
template <class Check>
void collect(VerifyReport& report, Check check) {
  try {
    check();
  } catch (const Error& fault) {
    report.faults.push_back(replace_all(fault.what(), "\n", " "));
  } catch (const fs::filesystem_error& fault) {
    report.faults.push_back(fault.what());
  }
}

void verify_tensors(VerifyReport& report, const fs::path& path) {
  const SafetensorsFile file(path);
  report.tensors += static_cast<int64_t>(file.tensors().size());
  for (const auto& entry : file.tensors()) {
    const auto tensor = file.view(entry);
    if (at::isFloatingType(tensor.scalar_type()) && tensor.element_size() > 1 && tensor.numel() > 0 &&
        !at::isfinite(tensor).all().item<bool>())
      throw CheckpointError(fmt::format("{}: {}", path.string(), entry.name), "holds values that are not finite");
  }
}

void verify_contents(VerifyReport& report, const fs::path& folder) {
  for (const auto& item : fs::recursive_directory_iterator(folder)) {
    if (!item.is_regular_file()) continue;
    ++report.files;
    report.bytes += item.file_size();
    collect(report, [&] {
      if (item.path().extension() == ".safetensors")
        verify_tensors(report, item.path());
      else if (item.path().extension() == ".json")
        load_json(item.path());
    });
  }
}

void verify_checkpoint(VerifyReport& report, const fs::path& folder) {
  verify_contents(report, folder);
  collect(report, [&] {
    std::set<std::string> listed{"manifest.json"};
    for (const auto& record : load_manifest(folder).files) {
      listed.insert(record.path);
      const fs::path path = folder / record.path;
      collect(report, [&] {
        if (!fs::is_regular_file(path)) throw CheckpointError(path.string(), "is missing");
        const uint64_t bytes = fs::file_size(path);
        if (bytes != record.bytes)
          throw CheckpointError(path.string(), fmt::format("has {} bytes, expected {}", bytes, record.bytes));
        ++report.checksums;
        if (const uint32_t sum = checksum_file(path); sum != record.crc32c)
          throw CheckpointError(
              path.string(),
              fmt::format("its contents have changed: checksum {:08x}, recorded {:08x}", sum, record.crc32c));
      });
    }
    for (const auto& item : fs::recursive_directory_iterator(folder)) {
      const std::string name = item.path().lexically_relative(folder).generic_string();
      if (item.is_regular_file() && !listed.contains(name))
        report.notes.push_back(item.path().string() + " is not in the manifest");
    }
  });
  if (fs::exists(folder / "state")) collect(report, [&] { open_run_state(folder / "state"); });
  if (fs::exists(folder / "model")) collect(report, [&] { open_weights(folder / "model"); });
}

Json describe_files(const std::vector<SafetensorsFile>& files) {
  int64_t tensors = 0, parameters = 0;
  uint64_t bytes = 0;
  std::map<std::string, int64_t> dtypes;
  Json list = Json::array();
  for (const auto& file : files) {
    for (const auto& entry : file.tensors()) {
      ++tensors;
      parameters += entry.numel();
      dtypes[std::string(*safetensors_dtype(entry.dtype))] += entry.numel();
    }
    bytes += file.file_bytes();
    list.push_back(file.path().filename().string());
  }
  return {{"tensors", tensors},
          {"parameters", parameters},
          {"bytes", bytes},
          {"dtypes", dtypes},
          {"files", std::move(list)}};
}

Json describe_model(const fs::path& path) {
  Json summary = describe_files(open_weights(path).files());
  if (!fs::exists(path / "config.json")) return summary;
  const Json config = load_json(path / "config.json");
  for (const char* key : {"model_type", "dtype", "torch_dtype"})
    if (config.is_object() && config.contains(key)) summary[key] = config[key];
  return summary;
}

Json describe_folder(const fs::path& folder) {
  std::vector<SafetensorsFile> files;
  if (fs::is_directory(folder))
    for (const auto& item : fs::directory_iterator(folder))
      if (item.path().extension() == ".safetensors") files.emplace_back(item.path());
  return describe_files(files);
}

Json describe_state(const fs::path& folder) {
  const RunRecord record = load_run_record(folder);
  return {{"step", record.step},
          {"epoch", record.epoch},
          {"layout", record.layout},
          {"weights", describe_folder(folder / "weights")},
          {"optimizer", describe_folder(folder / "optimizer")}};
}

Json describe_checkpoint(const fs::path& folder) {
  const Manifest manifest = load_manifest(folder);
  uint64_t bytes = 0;
  for (const auto& record : manifest.files) bytes += record.bytes;
  Json summary = {{"epoch", manifest.epoch},
                  {"step", manifest.step},
                  {"metric", manifest.metric ? Json(*manifest.metric) : Json()},
                  {"saved_at", manifest.saved_at},
                  {"bytes", bytes},
                  {"files", manifest.files.size()}};
  if (fs::exists(folder / "model")) summary["model"] = describe_model(folder / "model");
  if (fs::exists(folder / "state")) summary["state"] = describe_state(folder / "state");
  return summary;
}

Json describe_run(const fs::path& folder) {
  const RunView run = open_run(folder);
  Json list = Json::array();
  for (const auto& entry : run.checkpoints)
    list.push_back({{"name", entry.path.filename().string()},
                    {"epoch", entry.epoch},
                    {"step", entry.step},
                    {"metric", entry.metric ? Json(*entry.metric) : Json()}});
  const auto name = [](const std::optional<CheckpointEntry>& entry) {
    return entry ? Json(entry->path.filename().string()) : Json();
  };
  return {{"checkpoints", std::move(list)},
          {"latest", name(run.latest)},
          {"best", name(run.best)},
          {"damaged", run.damaged}};
}

}  // namespace

VerifyReport verify(const fs::path& path) {
  const Kind kind = kind_of(path);
  VerifyReport report;
  report.kind = kind_name(kind);
  if (kind == Kind::Checkpoint) {
    verify_checkpoint(report, path);
    return report;
  }
  if (kind == Kind::Run) {
    for (const auto& item : fs::directory_iterator(path)) {
      const std::string name = item.path().filename().string();
      if (item.is_directory() && !item.is_symlink() && name.starts_with("epoch_"))
        verify_checkpoint(report, item.path());
      if (item.is_symlink() && !fs::exists(item.path()))
        report.faults.push_back(item.path().string() + ": the link points to nothing");
    }
    return report;
  }
  report.notes.push_back("no manifest.json, so no checksums to compare");
  if (kind == Kind::File) {
    report.files = 1;
    collect(report, [&] {
      report.bytes = fs::file_size(path);
      verify_tensors(report, path);
    });
    return report;
  }
  verify_contents(report, path);
  collect(report, [&] {
    if (kind == Kind::State)
      open_run_state(path);
    else
      open_weights(path);
  });
  return report;
}

Json info(const fs::path& path) {
  const Kind kind = kind_of(path);
  Json summary = {{"kind", kind_name(kind)}, {"path", path.string()}};
  summary.update(kind == Kind::Run          ? describe_run(path)
                 : kind == Kind::Checkpoint ? describe_checkpoint(path)
                 : kind == Kind::State      ? describe_state(path)
                                            : describe_model(path));
  return summary;
}

}  // namespace automodel::checkpoint
