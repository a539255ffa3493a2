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
#include "automodel/data/data_files.h"

namespace automodel::data {

struct Row {
  Json value;          // an object; a line of a text file is {"text": line}
  std::string where;   // "file:line", for errors
  int64_t index = 0;   // place among the rows it was read from
  int64_t source = 0;  // of a mixture: which of its sources
};

/// The order in which an epoch reads its rows: a permutation seeded by (seed, epoch), or as they lie.
struct RowOrder {
  bool shuffle = false;
  uint64_t seed = 0;
};

class Rows {
 public:
  virtual ~Rows() = default;
  /// Whether row `index` exists; reads (and indexes) only as far as that.
  virtual bool has(int64_t index) = 0;
  /// The number of rows (of an epoch); indexes to the end.
  virtual int64_t size() = 0;
  /// The row that an epoch reads at a position. REQUIRES has(position). O(1); of a mixture O(log sources).
  virtual int64_t index_at(int64_t epoch, int64_t position, const RowOrder& order);
  /// Of a mixture: which of its sources a row is from.
  virtual int64_t source_of(int64_t index) { return 0; }
  /// Whether the rows begin again within an epoch, which so never ends; size() is then the rows before that.
  virtual bool endless() const { return false; }
  /// REQUIRES has(index), or an index that index_at() gave. Throws DataError{"file:line:column"} for a row that is not
  /// valid JSON or not an object.
  virtual Row at(int64_t index) = 0;
  /// Where the order of the rows depends on options (how many samples are drawn): a text that changes when it does. A
  /// run is not resumed in another order.
  virtual std::string order() const { return ""; }
};

struct RowsOptions {
  /// Files (.jsonl, .ndjson, .json, .csv, .tsv, .txt, .parquet, .arrow; the text ones also .gz or .zst), patterns,
  /// folders, or ids of the Hub; several are read one after another. See data_files.h.
  std::vector<std::string> paths;
  /// "train", "validation[:500]", "train[10%:20%]", "train+validation": Hugging Face's split syntax. A folder is
  /// searched for the files of the split; files named one by one are train (data_files.h).
  /// Empty: all rows (of a folder: train).
  std::string split;
  /// At most so many rows, counted after the slice; negative: no limit.
  int64_t limit = -1;
  /// The rows are shuffled by this seed before the slice is taken, so that train[:90%] and train[90%:] are random
  /// parts.
  std::optional<uint64_t> shuffle_seed;
  std::string name, revision;  // configuration and revision, see data_files.h
  OpenDatasetRepo hub;         // how ids of the Hub are opened; empty: they are refused
};

/// Opens a data set. Throws DataError for a path or split that is not there (naming what is), UnsupportedError for a
/// format that this build cannot read or a data set of the Hub.
std::unique_ptr<Rows> open_rows(const RowsOptions& options);

/// The rows over and over in one epoch without end, each time in another order when they are shuffled.
std::unique_ptr<Rows> repeat_rows(std::unique_ptr<Rows> rows);

/// One file by its ending.
std::unique_ptr<Rows> open_file(const std::string& path);

}  // namespace automodel::data
