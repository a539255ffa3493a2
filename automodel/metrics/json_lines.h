// JSON Lines files of a run: one object with a "step" a line, in the order of the steps, each step once.
#pragma once

#include <cstdint>
#include <filesystem>

#include "automodel/base/file.h"
#include "automodel/base/json.h"

namespace automodel::metrics {

/// Drops from an existing file the lines of steps >= `next_step`, which a run that died after its last checkpoint left
/// and the resumed run makes again, and lines that are no JSON object with a step (a torn last line), each with a
/// warning. The file is replaced atomically, and only if something is dropped. A missing file is none to mend.
void drop_lines_from_step(const std::filesystem::path& path, int64_t next_step);

/// Appends objects, each as one line that has reached the kernel when append() returns. Throws SystemError (full disk).
class JsonLines {
 public:
  /// Opens for appending, after drop_lines_from_step().
  JsonLines(const std::filesystem::path& path, int64_t next_step);
  void append(const Json& object);

 private:
  LineWriter writer_;
};

}  // namespace automodel::metrics
