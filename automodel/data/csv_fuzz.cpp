// libFuzzer entry for CSV: any bytes give rows or a DataError, forwards and backwards the same.
//
// Build and run: tools/fuzz data/csv
// Sources: data/csv_file data/csv_record data/csv_types data/byte_source
// Links: -lz -lzstd
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/data/csv_file.h"

// Of all rows only this file's: rows.cpp would bring every format along.
int64_t automodel::data::Rows::index_at(int64_t, int64_t position, const RowOrder&) { return position; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace automodel;
  if (size == 0) return 0;
  const int fd = ::memfd_create("fuzz", 0);
  if (::write(fd, data + 1, size - 1) < 0) __builtin_trap();
  try {
    data::CsvFile rows(fmt::format("/proc/self/fd/{}", fd), data[0] % 2 ? ',' : '\t');
    std::vector<Json> values;
    for (int64_t i = 0; rows.has(i); ++i) values.push_back(rows.at(i).value);
    for (auto i = static_cast<int64_t>(values.size()); i-- > 0;)
      if (rows.at(i).value != values[static_cast<size_t>(i)]) __builtin_trap();
  } catch (const DataError&) {
  }
  ::close(fd);
  return 0;
}
