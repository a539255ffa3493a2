// Which files make up a split of a data set.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "automodel/data/dataset_layout.h"

namespace automodel::data {

/// A data set of the Hub, of which single files can be fetched.
class DatasetRepo {
 public:
  virtual ~DatasetRepo() = default;
  /// The names of all its files, and README.md's text.
  virtual FolderListing list() = 0;
  /// The local path of one of them, fetched if need be.
  virtual std::string fetch(const std::string& file) = 0;
  /// Throws, without fetching anything, where it is known that one of the files cannot be had.
  virtual void require(const std::vector<std::string>& files) {}
};
/// Opens "org/name" at a revision ("": the main one). What recipes hand in, so that this room needs no network.
using OpenDatasetRepo = std::function<std::shared_ptr<DatasetRepo>(const std::string& id, const std::string& revision)>;

struct DataPlace {
  std::vector<std::string> paths;  // files, patterns, folders, or ids of the Hub ("org/name", "hf://datasets/org/name")
  std::string name;                // configuration of a folder's or Hub data set's README.md
  std::string revision;            // of a Hub data set
  OpenDatasetRepo hub;             // empty: ids of the Hub are refused
  bool all_needed = false;         // every file will be read: what is missing is an error now
};

/// A file that may still have to be fetched.
struct DataFile {
  std::string path;  // local; empty when it must be fetched
  std::string name;  // for messages
  std::function<std::string()> fetch;
};

/// The files of a split, in order: a file is itself, a pattern (path_pattern.h, or '**' for any folders) its matches by
/// name, and both have the one split train; a folder or Hub data set has the splits of dataset_layout.h. Beyond those
/// rules of Hugging Face datasets a split of any name may be a whole word of a file's name (chat.jsonl) or, within a
/// folder, of its folder's. "all" is every split. A folder written by datasets' save_to_disk is read too. An empty
/// `split` is train. Throws DataError with the splits there are; ConfigError when name or revision is given for what
/// has none; UnsupportedError for the Hub without a client.
std::vector<DataFile> find_data_files(const DataPlace& place, const std::string& split);

/// Whether the text is no path here but has the form of a Hub id.
bool is_hub_dataset(const std::string& path);

}  // namespace automodel::data
