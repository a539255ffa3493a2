#include "automodel/data/arrow_file.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "automodel/base/error.h"
#include "automodel/data/arrow_table.h"
#include "automodel/data/byte_source.h"

namespace automodel::data {
namespace fs = std::filesystem;

static OpenArrowTable load_library(const std::string& path) {
  std::error_code ignored;
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  std::string said;
  for (const fs::path& place : {folder / kArrowLibrary, folder.parent_path() / "lib" / kArrowLibrary}) {
    if (!fs::exists(place, ignored)) continue;
    void* library = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays loaded for good
    if (!library) {
      said = ::dlerror();
      continue;
    }
    if (void* symbol = ::dlsym(library, kOpenArrowTable)) return reinterpret_cast<OpenArrowTable>(symbol);
    said = ::dlerror();
  }
  throw UnsupportedError(path,
                         fmt::format("Parquet and Arrow files are read by {}, which {}", kArrowLibrary,
                                     said.empty() ? "is not in " + folder.string() : "cannot be loaded: " + said),
                         "build it (its target is automodel_arrow; tools/setup fetches Arrow), or convert the file to "
                         "JSON lines");
}

ArrowFile::ArrowFile(std::string path, bool parquet) : path_(std::move(path)) {
  if (::access(path_.c_str(), R_OK) != 0) throw SystemError(path_, "cannot be opened");
  static const OpenArrowTable open = load_library(path_);  // if it throws, the next file tries again
  std::string fault;
  table_.reset(open({path_.c_str(), parquet, &open_nameless_file}, fault));
  if (!table_)
    throw DataError(path_, fmt::format("cannot be read as {}: {}", parquet ? "Parquet" : "an Arrow file", fault));
}
ArrowFile::~ArrowFile() = default;

bool ArrowFile::has(int64_t index) { return index < table_->rows(); }
int64_t ArrowFile::size() { return table_->rows(); }

Row ArrowFile::at(int64_t index) {
  AM_CHECK(index >= 0 && index < table_->rows(), "row {} of {}", index, table_->rows());
  Row row{{}, fmt::format("{}: row {}", path_, index), index};
  std::string fault;
  if (!table_->row(index, row.value, fault)) throw DataError(row.where, fault);
  return row;
}

}  // namespace automodel::data
