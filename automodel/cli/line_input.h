// Lines of a file or of standard input, each with its place for errors, and results as lines of JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "automodel/base/json.h"

namespace automodel::cli {

struct Line {
  std::string text;
  std::string file;  // "<stdin>" for standard input
  int64_t number = 1;
  std::string where() const;  // "file:number"
  /// Throws DataError{"file:number:column"}.
  Json parse() const;
};

/// A result as one line of JSON, without the end of the line; bytes that are no UTF-8 are replaced.
std::string as_json(const Json& value);

/// What errors call it: "-" is <stdin>.
std::string shown_name(const std::string& file);

/// Calls f for every line of a file, or of standard input for "-". Throws SystemError with the system's reason.
void for_each_line(const std::string& file, const std::function<void(const Line&)>& f);

/// All of it; the same.
std::string read_input(const std::string& file);

}  // namespace automodel::cli
