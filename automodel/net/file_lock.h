// The lock that huggingface_hub (Python's filelock) takes while it writes a blob: flock(2) on a file of its own.
#pragma once

#include <filesystem>
#include <optional>

namespace automodel::net {

/// Held while the object lives, by this thread and process alone. The file stays in place afterwards: removing it would
/// let two waiters lock two files of one name.
class FileLock {
 public:
  /// Takes the lock, or nothing if somebody holds it. Makes the folder. Throws SystemError when the file cannot be
  /// opened, or when the file system has no locks.
  static std::optional<FileLock> try_take(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace automodel::net
