// Which files make up a split of a data set.
#pragma once

#include <string>
#include <vector>

namespace automodel::data {

/// The files meant by `paths`, in order: a file is itself; a pattern with '*' or '?' its matches by name; a folder the
/// files of `split` in it or in its subfolders "data" and `split`. As in Hugging Face datasets, a file belongs to a
/// split when the split's name (validation: also valid, val, dev; test: also testing, eval, evaluation; train: also
/// training) is a whole word of its name: train.jsonl, train-00000-of-00002.jsonl, my_val.json. If no file of the
/// folder names any split, all are train. An empty `split` is train. Files named one by one are taken whatever the
/// split is called. Throws DataError with what is there, UnsupportedError for a data set of the Hub (org/name that is
/// no path).
std::vector<std::string> find_data_files(const std::vector<std::string>& paths, const std::string& split);

/// The ending that says the format, in small letters: ".jsonl"; of a compressed file both: ".jsonl.gz".
std::string data_file_ending(const std::string& path);

}  // namespace automodel::data
