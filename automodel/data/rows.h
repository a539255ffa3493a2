// Rows: a data set as numbered JSON objects, read one at a time, each knowing the file and line it came from.
//
// Nothing is read before it is asked for: the first row of a file larger than memory is there at once. What is held is
// an index of places (16 bytes for every eighth row), never the rows. All members may be called from several threads at
// once.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::data {

struct Row {
  Json value;         // an object; a line of a text file is {"text": line}
  std::string where;  // "file:line", for errors
  int64_t index = 0;  // place among the rows it was read from
};

class Rows {
 public:
  virtual ~Rows() = default;
  /// Whether row `index` exists; reads (and indexes) only as far as that.
  virtual bool has(int64_t index) = 0;
  /// The number of rows; indexes to the end.
  virtual int64_t size() = 0;
  /// REQUIRES has(index). Throws DataError{"file:line:column"} for a row that is not valid JSON or not an object.
  virtual Row at(int64_t index) = 0;
  /// Where the order of the rows depends on options (how many samples are drawn): a text that changes when it does. A
  /// run is not resumed in another order.
  virtual std::string order() const { return ""; }
};

struct RowsOptions {
  /// Files (.jsonl, .ndjson, .json, .txt), wildcards, or one folder; several files are read one after another.
  std::vector<std::string> paths;
  /// "train", "validation[:500]", "train[10%:20%]", "train+validation": Hugging Face's split syntax. A folder is
  /// searched for the files of the split; files named one by one are the split, and only the slice is taken from it.
  /// Empty: all rows (of a folder: train).
  std::string split;
  /// At most so many rows, counted after the slice; negative: no limit.
  int64_t limit = -1;
  /// The rows are shuffled by this seed before the slice is taken, so that train[:90%] and train[90%:] are random
  /// parts.
  std::optional<uint64_t> shuffle_seed;
};

/// Opens a data set. Throws DataError for a path or split that is not there (naming what is), UnsupportedError for a
/// format that this build cannot read or a data set of the Hub.
std::unique_ptr<Rows> open_rows(const RowsOptions& options);

/// One file by its ending.
std::unique_ptr<Rows> open_file(const std::string& path);

}  // namespace automodel::data
