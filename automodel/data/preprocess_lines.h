// LineChunks: the lines of text files in pieces of about a megabyte, each knowing where it lies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace automodel::data {

/// A place between two lines.
struct LinePlace {
  int64_t file = 0, offset = 0;
  int64_t line = 1;  // number of the line that begins here
  bool operator==(const LinePlace&) const = default;
};

struct LineChunk {
  std::string text;  // whole lines; the last of a file may lack its newline
  LinePlace begin, end;
};

class LineChunks {
 public:
  explicit LineChunks(std::vector<std::string> files, LinePlace from = {});
  ~LineChunks();
  LineChunks(const LineChunks&) = delete;

  /// The next lines, of one file; nothing after the last. Throws SystemError, and DataError{"file:line"} for a line of
  /// more than 256 MiB.
  std::optional<LineChunk> next();

 private:
  bool open_next();
  size_t read(char* to, size_t bytes);
  std::vector<std::string> files_;
  LinePlace place_;
  int fd_ = -1;
  std::string rest_;  // read, but after the last newline of the chunk before
};

}  // namespace automodel::data
