#include "automodel/checkpoint/manifest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "automodel/base/crc32c.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/text.h"

namespace automodel::checkpoint {
namespace fs = std::filesystem;

static constexpr const char* kName = "manifest.json";
static constexpr const char* kFormat = "automodel.checkpoint";
static constexpr int kVersion = 1;

uint32_t checksum_file(const fs::path& path) {
  const MappedFile file(path);
  return crc32c(0, file.bytes().data(), file.bytes().size());
}

static void flush_file(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool ok = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!ok) throw SystemError(path.string(), fmt::format("cannot be flushed to disk: {}", std::strerror(error)));
}

void write_manifest(const fs::path& folder, Manifest manifest, const std::vector<FileRecord>& known) {
  std::map<std::string, const FileRecord*> flushed;
  for (const auto& record : known) flushed.emplace(record.path, &record);
  std::vector<fs::path> folders{folder};
  std::map<std::string, FileRecord> files;
  for (const auto& item : fs::recursive_directory_iterator(folder)) {
    if (item.is_directory()) {
      folders.push_back(item.path());
      continue;
    }
    const std::string name = item.path().lexically_relative(folder).generic_string();
    const auto found = flushed.find(name);
    if (found != flushed.end()) {
      files.emplace(name, *found->second);
    } else {
      flush_file(item.path());
      files.emplace(name, FileRecord{name, fs::file_size(item.path()), checksum_file(item.path())});
    }
  }
  Json list = Json::array();
  for (const auto& [name, record] : files)
    list.push_back({{"path", name}, {"bytes", record.bytes}, {"crc32c", fmt::format("{:08x}", record.crc32c)}});
  const Json tree = {{"format", kFormat},
                     {"version", kVersion},
                     {"epoch", manifest.epoch},
                     {"step", manifest.step},
                     {"metric", manifest.metric ? Json(*manifest.metric) : Json()},
                     {"saved_at", timestamp_utc()},
                     {"files", std::move(list)}};
  write_text_file(folder / kName, tree.dump(2) + "\n");
  for (auto path = folders.rbegin(); path != folders.rend(); ++path) sync_folder(*path);
}

static FileRecord read_record(const Json& item, const std::string& where) {
  const auto fail = [&] { throw CheckpointError(where, fmt::format("has a damaged entry: {}", item.dump())); };
  if (!item.is_object()) fail();
  const Json path = item.value("path", Json()), bytes = item.value("bytes", Json()), sum = item.value("crc32c", Json());
  if (!path.is_string() || !bytes.is_number_unsigned() || !sum.is_string()) fail();
  FileRecord record{path.get<std::string>(), bytes.get<uint64_t>(), 0};
  const fs::path plain(record.path);  // a manifest may not point out of its folder
  if (plain.is_absolute() || plain.empty()) fail();
  for (const auto& part : plain)
    if (part == "..") fail();
  const std::string digits = sum.get<std::string>();
  if (digits.size() != 8 || digits.find_first_not_of("0123456789abcdef") != std::string::npos) fail();
  record.crc32c = static_cast<uint32_t>(std::stoul(digits, nullptr, 16));
  return record;
}

Manifest load_manifest(const fs::path& folder) {
  const fs::path path = folder / kName;
  const std::string where = path.string();
  if (!fs::is_regular_file(path)) throw CheckpointError(folder.string(), "is no checkpoint: it holds no manifest.json");
  const Json tree = load_json(path);
  const auto field = [&](const char* key) { return tree.is_object() ? tree.value(key, Json()) : Json(); };
  if (field("format") != kFormat) throw CheckpointError(where, "is no manifest of a checkpoint");
  const Json version = field("version");
  if (!version.is_number_integer() || version < 1 || version > kVersion)
    throw CheckpointError(where, fmt::format("has version {}, this build reads up to {}: a newer build wrote it",
                                             version.dump(), kVersion));
  const Json epoch = field("epoch"), step = field("step"), metric = field("metric"), saved_at = field("saved_at"),
             files = field("files");
  if (!epoch.is_number_unsigned() || !step.is_number_unsigned() || !files.is_array() || !saved_at.is_string() ||
      !(metric.is_null() || metric.is_number()))
    throw CheckpointError(where, "lacks epoch, step, metric, saved_at or files");
  Manifest manifest{epoch.get<int64_t>(), step.get<int64_t>(), std::nullopt, saved_at.get<std::string>(), {}};
  if (metric.is_number()) manifest.metric = metric.get<double>();
  for (const auto& item : files) manifest.files.push_back(read_record(item, where));
  return manifest;
}

std::string why_not_whole(const fs::path& folder) {
  try {
    for (const auto& record : load_manifest(folder).files) {
      std::error_code error;
      const uint64_t bytes = fs::file_size(folder / record.path, error);
      if (error) return fmt::format("{} is missing", record.path);
      if (bytes != record.bytes) return fmt::format("{} has {} bytes, expected {}", record.path, bytes, record.bytes);
    }
  } catch (const Error& fault) {
    return fault.what();
  }
  return "";
}

}  // namespace automodel::checkpoint
