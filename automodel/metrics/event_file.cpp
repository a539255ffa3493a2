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

namespace {

// Reads one message field by field; every length is held to what is there.
class FieldReader {
 public:
  explicit FieldReader(std::string_view data) : data_(data) {}
  bool next() {
    if (data_.empty()) return false;
    const uint64_t key = varint();
    field = static_cast<int>(key >> 3);
    switch (key & 7) {
      case kVarint:
        number = varint();
        return true;
      case kFixed64:
        bytes = take(8);
        return true;
      case kBytes:
        bytes = take(varint());
        return true;
      case kFixed32:
        bytes = take(4);
        return true;
      default:
        throw std::out_of_range("wire type");
    }
  }
  int field = 0;
  uint64_t number = 0;
  std::string_view bytes;

 private:
  std::string_view take(uint64_t size) {
    if (size > data_.size()) throw std::out_of_range("length");
    const auto taken = data_.substr(0, size);
    data_.remove_prefix(size);
    return taken;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw std::out_of_range("varint");
  }
  std::string_view data_;
};

template <class T>
T get(std::string_view bytes) {
  T value;
  if (bytes.size() != sizeof value) throw std::out_of_range("number");
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

void read_event(std::string_view data, std::vector<Scalar>& scalars) {
  int64_t step = 0;
  bool start = false;
  std::vector<std::string_view> summaries;
  for (FieldReader event(data); event.next();) {
    if (event.field == 2) step = static_cast<int64_t>(event.number);
    if (event.field == 5) summaries.push_back(event.bytes);
    if (event.field == 7)
      for (FieldReader session(event.bytes); session.next();) start |= session.field == 1 && session.number == 1;
  }
  if (start) std::erase_if(scalars, [&](const Scalar& s) { return s.step >= step; });
  for (const auto& summary : summaries) {
    for (FieldReader values(summary); values.next();) {
      if (values.field != 1) continue;
      Scalar scalar{"", step, 0};
      bool plain = false;
      for (FieldReader value(values.bytes); value.next();) {
        if (value.field == 1) scalar.tag = value.bytes;
        if (value.field == 2) scalar.value = get<float>(value.bytes), plain = true;
      }
      if (plain) scalars.push_back(scalar);
    }
  }
}

}  // namespace

std::vector<Scalar> load_scalars(const fs::path& folder) {
  std::vector<Scalar> scalars;
  for (const auto& path : event_files(folder)) {
    const MappedFile file(path);
    std::string_view rest = file.text();
    for (int64_t number = 0; rest.size() >= 12; ++number) {
      const auto size = get<uint64_t>(rest.substr(0, 8));
      const auto damaged = [&](const char* what) {
        return DataError(fmt::format("{}: record {}", path.string(), number), what);
      };
      if (get<uint32_t>(rest.substr(8, 4)) != masked(rest.substr(0, 8))) throw damaged("its length is damaged");
      if (size > rest.size() - 12 || rest.size() - 12 - size < 4) break;
      const auto data = rest.substr(12, size);
      if (get<uint32_t>(rest.substr(12 + size, 4)) != masked(data)) throw damaged("its data are damaged");
      try {
        read_event(data, scalars);
      } catch (const std::out_of_range&) {
        throw damaged("is no event");
      }
      rest.remove_prefix(16 + size);
    }
  }
  return scalars;
}

}  // namespace automodel::metrics
