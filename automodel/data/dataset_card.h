// The YAML front matter of a data set's README.md.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace automodel::data {

struct CardConfig {
  std::string name;
  std::string data_dir;
  bool is_default = false;
  bool names_files = false;                                                  // it has data_files
  std::vector<std::pair<std::string, std::vector<std::string>>> data_files;  // split, patterns
};

/// The `configs` list of the front matter between two lines "---"; empty when there is none. Throws
/// DataError{"where:line"} for YAML or a list of another form, UnsupportedError for reading options (sep, ...) that
/// would change the rows.
std::vector<CardConfig> read_card(const std::string& readme, const std::string& where);

}  // namespace automodel::data
