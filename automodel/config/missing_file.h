// What to say of a file or folder that a configuration names and that is not there.
#pragma once

#include <string>

namespace automodel::config {

struct MissingFile {
  bool folder_is_there = false;  ///< the folder in which it should lie: then the name is mistyped
  std::string text;  ///< "no such file or folder: data/trian.jsonl; did you mean train.jsonl?", or, without that
                     ///< folder, "a path that is there, and there is no folder data"
  std::string hint;  ///< some of the names in that folder, or ""
};

/// `path` does not exist; it may be a pattern that matches nothing.
MissingFile describe_missing(const std::string& path);

}  // namespace automodel::config
