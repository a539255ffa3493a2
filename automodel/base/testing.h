// What tests of every room share: a folder that goes with its test, and the message of a fault. Included by tests only.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "automodel/base/error.h"

namespace automodel {

/// A new, empty folder below `parent`, removed with all that it holds at the end of the object.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::string name = (parent / "automodel_test_XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  operator const std::filesystem::path&() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// The path of a file with this text, whose folders are made.
  std::string write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

#ifdef AUTOMODEL_SOURCE_DIR  // of test programs
/// The repository's files: where they were compiled, or where AUTOMODEL_SOURCE says on another machine.
inline std::filesystem::path source_folder() {
  const char* named = std::getenv("AUTOMODEL_SOURCE");
  return named ? named : AUTOMODEL_SOURCE_DIR;
}
#endif

/// The message of the fault that `call` throws, "" if it throws none.
template <class Fault = Error, class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Fault& fault) {
    return fault.what();
  }
  return "";
}

}  // namespace automodel
