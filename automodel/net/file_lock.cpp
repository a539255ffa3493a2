#include "automodel/net/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "automodel/base/error.h"
#include "automodel/base/file.h"

namespace automodel::net {

constexpr mode_t kGroupWritable = 0664;  // as huggingface_hub: a group may share a cache

std::optional<FileLock> FileLock::try_take(const std::filesystem::path& path) {
  make_folders(path.parent_path());
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kGroupWritable);
  if (fd >= 0) {
    [[maybe_unused]] const int best_effort = ::fchmod(fd, kGroupWritable);  // past the umask
  } else if (errno == EEXIST) {
    fd = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == EAGAIN)) return std::nullopt;  // it went away or is leased: as if held
  }
  if (fd < 0)
    throw SystemError(path.string(), fmt::format("this lock cannot be opened: {}", std::strerror(errno)),
                      "make the cache writable for this user, or set HF_HUB_CACHE to another folder");
  FileLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EACCES || errno == EINTR) return std::nullopt;
    throw SystemError(path.string(), fmt::format("cannot be locked: {}", std::strerror(errno)),
                      "the file system of the cache has no locks; set HF_HUB_CACHE to a folder on another one");
  }
  struct stat status;
  if (::fstat(fd, &status) != 0 || status.st_nlink == 0) return std::nullopt;  // removed meanwhile: it guards no name
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);  // which releases the lock
}

}  // namespace automodel::net
