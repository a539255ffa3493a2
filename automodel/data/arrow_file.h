// ArrowFile: the rows of a Parquet file, or of an Arrow IPC file or stream (also Hugging Face's cached .arrow files).
//
// Values become what the same rows give as JSON lines: structs objects, lists arrays, maps lists of [key, value],
// decimals, dates and times texts as Python prints them, columns of type arrow.json the JSON they hold; bytes that are
// UTF-8 become a text, others a binary value. Inside a list or struct a field that is null is left out: Arrow must fill
// fields that a row lacks. Random access in bounded memory (arrow_table.h). Thread-safe.
#pragma once

#include <memory>

#include "automodel/data/rows.h"

namespace automodel::data {

class ArrowTable;

class ArrowFile : public Rows {
 public:
  /// Throws SystemError when the file cannot be opened, DataError when it is damaged, UnsupportedError when
  /// libautomodel_arrow.so is not beside the program (or in ../lib).
  ArrowFile(std::string path, bool parquet);
  ~ArrowFile() override;
  bool has(int64_t index) override;
  int64_t size() override;
  /// Throws DataError{"file: row N"}, N counted from 0.
  Row at(int64_t index) override;

 private:
  std::string path_;
  std::unique_ptr<ArrowTable> table_;
};

}  // namespace automodel::data
