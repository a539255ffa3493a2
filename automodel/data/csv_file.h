// CsvFile: a CSV or TSV file with a header line, with random access by an index of every eighth record.
//
// Values are typed as Hugging Face datasets types them: each column by its first 10,000 rows (csv_types.h); a later
// value that does not fit is an error. A missing value, and any that the row is too short for, is null. The file
// (plain, .gz or .zst) is read in blocks, never mapped. Thread-safe.
#pragma once

#include <mutex>

#include "automodel/data/byte_source.h"
#include "automodel/data/csv_types.h"
#include "automodel/data/rows.h"

namespace automodel::data {

class CsvFile : public Rows {
 public:
  /// `separator`: ',' or '\t'. Throws SystemError when the file cannot be opened, DataError for one without a header.
  CsvFile(std::string path, char separator);

  bool has(int64_t index) override;
  int64_t size() override;
  /// Throws DataError{"file:line"} for a row with more fields than the header, a quote that does not end, text that is
  /// no UTF-8, or a value that is not of its column's type.
  Row at(int64_t index) override;

 private:
  struct Anchor {
    int64_t offset, line;  // where a record starts: byte, and line counted from 1
  };
  void index_until(int64_t records);  // REQUIRES the lock; stops at the end of the file
  void read_block();
  void see_record(size_t begin, const std::vector<std::string>& fields);
  std::vector<std::string> fields_at(const Anchor& anchor, int64_t skip, int64_t& line) const;
  [[noreturn]] void fail(int64_t line, const std::string& text, const std::string& hint = "") const;

  std::string path_;
  char separator_;
  std::unique_ptr<ByteSource> bytes_;
  mutable std::mutex mutex_;
  std::vector<std::string> columns_;
  std::vector<CsvTypeGuess> guesses_;
  std::vector<CsvType> types_;  // known once the first rows are indexed
  std::vector<Anchor> anchors_;
  std::string block_;  // the file from block_offset_ on, as far as it was read
  size_t block_used_ = 0;
  int64_t block_offset_ = 0, line_ = 1, records_ = 0;
  bool file_read_ = false, done_ = false;
};

}  // namespace automodel::data
