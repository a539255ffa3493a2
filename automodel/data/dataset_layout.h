// DatasetLayout: which files of a data set's folder or Hub repository make up which split, as Hugging Face datasets
// finds it. Works on names alone, so that nothing is fetched that is not needed.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace automodel::data {

/// Splits in order, each with its files (relative paths, sorted, each once).
using SplitFiles = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// What a folder holds, for layout rules.
struct FolderListing {
  std::string name;                // for errors: the folder, or the Hub's id
  std::vector<std::string> files;  // relative paths, sorted
  std::string readme;              // README.md's text; its YAML front matter may define configurations
};

/// The configurations of the front matter, in order: `configs` with config_name, data_files, data_dir and default.
/// Empty when there are none. Throws DataError{"README.md:line"} for what does not have that form.
std::vector<std::string> config_names(const FolderListing& folder);

/// The splits of a configuration. `config` empty: the only one, the one marked default, or the one named "default"; one
/// must be named when there are several others. Without configurations: data/NAME-00000-of-00005.* files; else folders
/// named for splits (train, training; validation, valid, dev, val; test, testing, eval, evaluation), else files named
/// for splits, else every data file is train. Of these, in several formats, only those of the most frequent count.
/// Throws DataError for a configuration that is not there and for a folder without data files, UnsupportedError for
/// reading options in the front matter that this program does not have.
SplitFiles find_splits(const FolderListing& folder, const std::string& config);

/// Whether the name ends like a data file: .jsonl, .csv, .parquet, ... also packed (.jsonl.gz).
bool is_data_file(const std::string& path);

/// The ending that says the format, in small letters: ".jsonl"; of a packed file both: ".jsonl.gz".
std::string data_file_ending(const std::string& path);

/// The same without the packing: ".jsonl".
std::string data_format_ending(const std::string& path);

}  // namespace automodel::data
