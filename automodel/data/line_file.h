// LineFile: a file of one record a line (JSONL, plain text), with random access by an index of every eighth record.
//
// The file (plain, .gz or .zst) is read in blocks and never mapped, so the resident memory stays small however large
// the file is, and a file that shrinks while it is read is an error instead of a crash. Lines of white space are no
// records. Thread-safe.
#pragma once

#include <mutex>

#include "automodel/data/byte_source.h"
#include "automodel/data/rows.h"

namespace automodel::data {

class LineFile : public Rows {
 public:
  enum class Format { Json, Text };
  /// Throws SystemError when the file cannot be opened.
  LineFile(std::string path, Format format);
  bool has(int64_t index) override;
  int64_t size() override;
  Row at(int64_t index) override;

 private:
  struct Anchor {
    int64_t offset, line;  // where a record starts: byte, and line counted from 1
  };
  void index_until(int64_t records);  // REQUIRES the lock; stops at the end of the file
  void index_block(const char* block, int64_t bytes);
  void end_line(int64_t end);

  std::string path_;
  Format format_;
  std::unique_ptr<ByteSource> bytes_;
  std::mutex mutex_;
  std::vector<Anchor> anchors_;
  std::vector<char> block_;
  int64_t records_ = 0, scanned_ = 0, line_ = 1, line_start_ = 0;
  bool line_has_text_ = false, done_ = false;
};

}  // namespace automodel::data
