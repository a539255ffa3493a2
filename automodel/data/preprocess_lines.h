// LineChunks: the lines of text files in pieces of about a megabyte, each knowing where it lies.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "automodel/data/byte_source.h"

namespace automodel::data {

/// A place between two lines.
struct LinePlace {
  int64_t file = 0, offset = 0;  // of a packed file: in its plain text
  int64_t line = 1;              // number of the line that begins here
  bool operator==(const LinePlace&) const = default;
};

struct LineChunk {
  std::string text;  // whole lines; the last of a file may lack its newline
  LinePlace begin, end;
};

class LineChunks {
 public:
  /// Files ending in .gz or .zst are unpacked as they are read; going on in the middle of one unpacks what is before.
  explicit LineChunks(std::vector<std::string> files, LinePlace from = {});

  /// The next lines, of one file; nothing after the last. Throws SystemError, DataError{"file:line"} for a line of
  /// more than 256 MiB or a damaged packed file.
  std::optional<LineChunk> next();

 private:
  bool open_next();
  std::vector<std::string> files_;
  LinePlace place_;
  std::unique_ptr<ByteSource> source_;
  std::string rest_;  // read, but after the last newline of the chunk before
};

}  // namespace automodel::data
