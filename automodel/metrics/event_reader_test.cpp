#include "automodel/metrics/event_reader_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "automodel/base/crc32c.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"

namespace automodel::metrics {
namespace fs = std::filesystem;
namespace {

// The protobuf wire types that these messages use.
enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

uint32_t masked(std::string_view data) { return std::rotr(crc32c(0, data.data(), data.size()), 15) + 0xa282ead8u; }

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().find("tfevents") != std::string::npos) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

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
