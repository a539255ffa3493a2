// libFuzzer entry for JSON lines, lists of JSON objects and text, plain and packed: any bytes give rows, the same
// forwards and backwards, or an error. The first byte picks the format.
//
// Build and run: tools/fuzz data/lines
// Sources: data/line_file data/array_file data/byte_source
// Links: -lz -lzstd
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/data/array_file.h"
#include "automodel/data/byte_source.h"
#include "automodel/data/line_file.h"

// Of all rows only these files': rows.cpp would bring every format along.
int64_t automodel::data::Rows::index_at(int64_t, int64_t position, const RowOrder&) { return position; }

static std::unique_ptr<automodel::data::Rows> open(int format, const std::string& path) {
  using namespace automodel::data;
  if (format == 0) return std::make_unique<ArrayFile>(path);
  return std::make_unique<LineFile>(path, format == 1 ? LineFile::Format::Json : LineFile::Format::Text);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace automodel;
  if (size == 0) return 0;
  const int fd = ::memfd_create("fuzz", 0);
  if (::write(fd, data + 1, size - 1) < 0) __builtin_trap();
  const std::string memory = fmt::format("/proc/self/fd/{}", fd);
  static const std::string folder = [] {
    std::string name = "/tmp/lines_fuzz_XXXXXX";
    if (!::mkdtemp(name.data())) __builtin_trap();
    return name;
  }();
  const int packing = data[0] / 3 % 3;
  const std::string path = packing == 0 ? memory : folder + (packing == 1 ? "/x.gz" : "/x.zst");
  if (packing != 0) {  // the ending of the name says how it is packed
    std::filesystem::remove(path);
    std::filesystem::create_symlink(memory, path);
  }
  try {
    const auto rows = open(data[0] % 3, path);
    std::vector<Json> values;
    for (int64_t i = 0; i < 2000 && rows->has(i); ++i) values.push_back(rows->at(i).value);
    for (auto i = static_cast<int64_t>(values.size()); i-- > 0;)
      if (rows->at(i).value != values[static_cast<size_t>(i)]) __builtin_trap();
  } catch (const DataError&) {
  }
  ::close(fd);
  return 0;
}
