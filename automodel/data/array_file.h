// ArrayFile: a .json file that holds a list of objects, or objects one after another (pretty-printed, or one a line).
//
// The file is mapped and its records found by their brackets, without parsing them; 24 bytes a record are kept.
// Thread-safe.
#pragma once

#include <mutex>

#include "automodel/base/file.h"
#include "automodel/data/byte_source.h"
#include "automodel/data/rows.h"

namespace automodel::data {

class ArrayFile : public Rows {
 public:
  explicit ArrayFile(std::string path);
  bool has(int64_t index) override;
  int64_t size() override;
  /// Throws DataError{"file:line"} for a record that is not valid JSON or not an object.
  Row at(int64_t index) override;

 private:
  struct Record {
    size_t begin, end;
    int64_t line;
  };
  void index_until(size_t records);  // REQUIRES the lock. Throws DataError where the brackets do not match
  bool find_record();                // appends the next record; false at the end
  size_t end_of_value(size_t begin);
  void skip_space();
  [[noreturn]] void fail(int64_t line, const std::string& text) const;

  std::string path_;
  std::unique_ptr<ByteSource> bytes_;
  MappedFile file_;
  std::string_view text_;
  std::mutex mutex_;
  std::vector<Record> records_;
  size_t at_ = 0;
  int64_t line_ = 1;
  bool is_list_ = false, done_ = false;
};

}  // namespace automodel::data
