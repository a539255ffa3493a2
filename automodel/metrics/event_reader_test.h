// Reads TensorBoard's event files (event_file.h), to hold what is written to what TensorBoard wrote itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace automodel::metrics {

struct Scalar {
  std::string tag;
  int64_t step;
  float value;
};

/// All scalars of all event files in a folder, in file order and with TensorBoard's rule for resumed runs applied.
/// Throws DataError{file: record N} for a damaged record; a torn last record ends its file.
std::vector<Scalar> load_scalars(const std::filesystem::path& folder);

}  // namespace automodel::metrics
