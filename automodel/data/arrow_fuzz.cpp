// libFuzzer entry for libautomodel_arrow.so: any bytes as Parquet and as Arrow give rows or a fault. Not part of the
// build; with clang (corpus: the small files of automodel/data/testdata/sources; DEPS: tools/setup --print-deps):
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -I. -isystem DEPS/pyarrow/include
//     automodel/data/arrow_fuzz.cpp automodel/data/arrow_*_plugin.cpp DEPS/pyarrow/lib{arrow,parquet}.so.2500
//     -Wl,-rpath,DEPS/pyarrow
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
