#include "automodel/metrics/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "automodel/base/crc32c.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"

namespace automodel::metrics {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie");
constexpr std::string_view kPrefix = "events.out.tfevents.";

uint32_t masked(std::string_view data) { return std::rotr(crc32c(0, data.data(), data.size()), 15) + 0xa282ead8u; }

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// The protobuf wire types that these messages use.
enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void put_key(std::string& out, int field, Wire wire) { put_varint(out, static_cast<uint64_t>(field << 3 | wire)); }
void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out.append(bytes);
}

std::string start_event(int64_t step, double wall_time) {
  std::string event;
  put_key(event, 1, kFixed64);
  put(event, wall_time);
  put_key(event, 2, kVarint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string().starts_with(kPrefix)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

int64_t seconds_in_name(const fs::path& file) {
  const std::string name = file.filename().string();
  int64_t seconds = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), seconds);
  return seconds;
}

}  // namespace

EventFile::EventFile(const fs::path& folder, int64_t next_step, double wall_time) {
  make_folders(folder);
  auto seconds = static_cast<int64_t>(wall_time);
  for (const auto& file : event_files(folder)) seconds = std::max(seconds, seconds_in_name(file) + 1);
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  path_ = folder / fmt::format("{}{:010}.{}.{}", kPrefix, seconds, host, ::getpid());
  file_ = std::fopen(path_.c_str(), "wbe");
  if (!file_) throw SystemError(path_.string(), fmt::format("cannot be created: {}", std::strerror(errno)));
  std::string version = start_event(0, wall_time);
  put_bytes(version, 3, "brain.Event:2");
  write(version);
  std::string start = start_event(next_step, wall_time), session;
  put_key(session, 1, kVarint);
  put_varint(session, 1);
  put_bytes(start, 7, session);
  write(start);
}

EventFile::~EventFile() {
  if (file_) std::fclose(file_);
}

void EventFile::write(const std::string& event) {
  std::string record;
  put(record, static_cast<uint64_t>(event.size()));
  put(record, masked(record));
  record += event;
  put(record, masked(event));
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size() || std::fflush(file_) != 0)
    throw SystemError(path_.string(), fmt::format("cannot be written: {}", std::strerror(errno)),
                      errno == ENOSPC ? "free some space, or write to another disk" : "");
}

void EventFile::add(int64_t step, double wall_time, const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string one;
    put_bytes(one, 1, tag);
    put_key(one, 2, kFixed32);
    put(one, static_cast<float>(value));
    put_bytes(summary, 1, one);
  }
  std::string event = start_event(step, wall_time);
  put_bytes(event, 5, summary);
  write(event);
}

}  // namespace automodel::metrics
