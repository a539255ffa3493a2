#include "automodel/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "automodel/base/error.h"
#include "automodel/base/place_file.h"

namespace automodel {
namespace fs = std::filesystem;

[[noreturn]] static void fail(const fs::path& path, const std::string& what) {
  const int error = errno;
  const bool space = error == ENOSPC || error == EDQUOT;
  throw SystemError(path.string(), fmt::format("{}: {}", what, std::strerror(error)),
                    space                               ? "free some space, or write to another disk"
                    : error == EACCES || error == EROFS ? "choose a folder that you may write to"
                                                        : "");
}

namespace {
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

uint64_t open_for_reading(const fs::path& path, Descriptor& file) {
  if (file.fd < 0) fail(path, "cannot be opened");
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) fail(path, "cannot be read");
  if (S_ISDIR(info.st_mode)) throw SystemError(path.string(), "is a folder, expected a file");
  return static_cast<uint64_t>(info.st_size);
}
}  // namespace

std::string read_file(const fs::path& path, uint64_t limit_bytes) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  const uint64_t size = open_for_reading(path, file);
  if (size > limit_bytes)
    throw SystemError(path.string(), fmt::format("has {} bytes, expected at most {}", size, limit_bytes));
  std::string text;
  text.reserve(size);
  char buffer[1 << 16];
  while (true) {  // pipes and /proc files say size 0: read until the end
    const ssize_t got = ::read(file.fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, "cannot be read");
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > limit_bytes)
      throw SystemError(path.string(), fmt::format("is larger than {} bytes", limit_bytes));
  }
}

MappedFile::MappedFile(const fs::path& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  size_ = open_for_reading(path, file);
  if (size_ == 0) return;
  data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data_ == MAP_FAILED) {
    data_ = nullptr;
    fail(path, "cannot be mapped");
  }
}
MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_);
}

static void write_all(int fd, const fs::path& path, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t wrote = ::write(fd, data, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail(path, "cannot be written");
    data += wrote, size -= static_cast<size_t>(wrote);
  }
}

FileWriter::FileWriter(const fs::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(path, "cannot be created");
}
FileWriter::~FileWriter() {
  if (fd_ < 0) return;
  struct stat info {};
  const bool regular = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);  // never remove a device
  ::close(fd_);
  if (regular) ::unlink(path_.c_str());
}
void FileWriter::write(const void* data, size_t size) { write_all(fd_, path_, static_cast<const char*>(data), size); }
void FileWriter::close() {
  struct stat info {};
  if (::fsync(fd_) != 0 && !(errno == EINVAL && ::fstat(fd_, &info) == 0 && !S_ISREG(info.st_mode)))
    fail(path_, "cannot be flushed to disk");
  if (::close(std::exchange(fd_, -1)) != 0) fail(path_, "cannot be closed");
}

LineWriter::LineWriter(const fs::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(path, "cannot be opened for appending");
}
LineWriter::~LineWriter() {
  if (fd_ >= 0) ::close(fd_);
}
void LineWriter::append(std::string_view line) {
  std::string whole(line);
  whole += '\n';  // one write, so that a crash leaves whole lines
  struct stat before {};
  const bool regular = ::fstat(fd_, &before) == 0 && S_ISREG(before.st_mode);
  try {
    write_all(fd_, path_, whole.data(), whole.size());
  } catch (...) {  // a full disk may have taken a part
    if (regular && ::ftruncate(fd_, before.st_size) != 0)
      fail(path_, "holds a part of a line, which cannot be cut off");
    throw;
  }
}

fs::path temporary_beside(const fs::path& path) { return path.string() + ".tmp" + std::to_string(::getpid()); }

void place_file(const fs::path& temporary, const fs::path& path) {
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    errno = error;
    fail(path, "cannot be replaced");
  }
  sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  const fs::path temporary = temporary_beside(path);
  FileWriter writer(temporary);
  writer.write(text);
  writer.close();
  place_file(temporary, path);
}

void sync_folder(const fs::path& folder) {
  Descriptor file{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (file.fd < 0) fail(folder, "cannot be opened");
  if (::fsync(file.fd) != 0 && errno != EINVAL) fail(folder, "cannot be flushed to disk");
}

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    errno = error.value();
    fail(folder, "the folder cannot be made");
  }
}

}  // namespace automodel
