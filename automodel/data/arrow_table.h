// What libautomodel_arrow.so offers to the rest: a Parquet or Arrow file as numbered rows.
//
// The library holds all that needs Arrow's headers; it is loaded when such a file is first opened, so the program runs
// without it. Nothing is thrown across this border: faults come back as text.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "automodel/base/json.h"

namespace automodel::data {

class ArrowTable {
 public:
  virtual ~ArrowTable() = default;
  virtual int64_t rows() const = 0;
  /// Sets `value` to the row as an object, or `fault` to what is wrong and returns false. REQUIRES 0 <= index < rows().
  /// Thread-safe. A group of rows is decoded when it is first touched and then lies, unpacked, in a nameless file (in
  /// memory when the whole file is small), from where every row can be read again without decoding.
  virtual bool row(int64_t index, Json& value, std::string& fault) = 0;
};

struct ArrowRequest {
  const char* path;
  bool parquet;                 // else Arrow's IPC format, file or stream by its first bytes
  int (*open_nameless_file)();  // a descriptor, which the table closes; may throw std::exception
};

/// The library's one function. Null with `fault` set when the file cannot be read.
using OpenArrowTable = ArrowTable* (*)(const ArrowRequest& request, std::string& fault);
inline constexpr const char* kOpenArrowTable = "automodel_open_arrow_table";
inline constexpr const char* kArrowLibrary = "libautomodel_arrow.so";

}  // namespace automodel::data
