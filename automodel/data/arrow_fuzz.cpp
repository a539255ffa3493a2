// libFuzzer entry for libautomodel_arrow.so: any bytes as Parquet and as Arrow give rows or a fault.
//
// Build and run: tools/fuzz data/arrow
// Sources: data/arrow_*_plugin
// Links: -larrow
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

#include "automodel/data/arrow_table.h"

extern "C" automodel::data::ArrowTable* automodel_open_arrow_table(const automodel::data::ArrowRequest&, std::string&);

static int open_memory() { return ::memfd_create("spill", 0); }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace automodel;
  const int fd = ::memfd_create("fuzz", 0);
  if (::write(fd, data, size) < 0) __builtin_trap();
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  for (const bool parquet : {true, false}) {
    std::string fault;
    const std::unique_ptr<data::ArrowTable> table(
        automodel_open_arrow_table({path.c_str(), parquet, &open_memory}, fault));
    if (!table && fault.empty()) __builtin_trap();
    Json value;
    for (int64_t i = 0; table && i < std::min<int64_t>(table->rows(), 50); ++i) table->row(i, value, fault);
    if (table && table->rows() > 0) table->row(table->rows() - 1, value, fault);
  }
  ::close(fd);
  return 0;
}
