#include "automodel/net/partial_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/net/digest.h"

namespace automodel::net {
namespace fs = std::filesystem;

PartialFile::PartialFile(const fs::path& blob, uint64_t size)
    : blob_(blob),
      path_(blob.string() + ".automodel.incomplete"),
      ranges_path_(blob.string() + ".automodel.ranges"),
      size_(size) {
  const fs::path plain_beginning = blob.string() + ".incomplete";
  std::error_code ignored;
  if (!fs::exists(path_, ignored) && fs::is_regular_file(plain_beginning, ignored)) {
    const uint64_t there = fs::file_size(plain_beginning, ignored);
    fs::rename(plain_beginning, path_, ignored);
    if (!ignored && there < size_) append({0, there});
  }
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) fail("cannot be opened");
  read_ranges();
  for (const auto& range : done_) resumed_ += range.end - range.begin;
}

PartialFile::~PartialFile() {
  if (fd_ >= 0) ::close(fd_);
}

void PartialFile::fail(const char* what) const {
  const int code = errno;
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  throw SystemError(path_.string(), fmt::format("{}: {}", what, std::strerror(code)),
                    full ? "make room, or set HF_HUB_CACHE to a folder on a larger disk; what is there is kept, and "
                           "the next run goes on from it"
                         : "");
}

void PartialFile::read_ranges() {
  std::error_code ignored;
  if (!fs::is_regular_file(ranges_path_, ignored)) return;
  const std::string text = read_file(ranges_path_, 64 << 20);
  const off_t there = ::lseek(fd_, 0, SEEK_END);
  for (const auto& line : split(text, '\n')) {
    ByteRange range;
    const char* last = line.data() + line.size();
    const auto first = std::from_chars(line.data(), last, range.begin);
    if (first.ec != std::errc() || first.ptr == last || *first.ptr != ' ') continue;
    const auto second = std::from_chars(first.ptr + 1, last, range.end);
    // A line cut short by a crash ends before its full stop.
    if (second.ec != std::errc() || second.ptr == last || *second.ptr != '.') continue;
    if (range.begin < range.end && range.end <= std::min(size_, static_cast<uint64_t>(there))) done_.push_back(range);
  }
  std::sort(done_.begin(), done_.end(), [](auto a, auto b) { return a.begin < b.begin; });
  std::vector<ByteRange> merged;
  for (const auto& range : done_) {
    if (!merged.empty() && range.begin <= merged.back().end)
      merged.back().end = std::max(merged.back().end, range.end);
    else
      merged.push_back(range);
  }
  done_ = std::move(merged);
}

std::vector<ByteRange> PartialFile::missing() const {
  std::vector<ByteRange> missing;
  uint64_t at = 0;
  for (const auto& range : done_) {
    if (range.begin > at) missing.push_back({at, range.begin});
    at = range.end;
  }
  if (at < size_) missing.push_back({at, size_});
  return missing;
}

void PartialFile::write(uint64_t at, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = ::pwrite(fd_, data, size, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot be written");
    data += written;
    at += static_cast<uint64_t>(written);
    size -= static_cast<size_t>(written);
  }
}

void PartialFile::append(ByteRange range) {
  const std::string line = fmt::format("{} {}.\n", range.begin, range.end);
  const int fd = ::open(ranges_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
  const bool ok = fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int code = errno;
  if (fd >= 0) ::close(fd);
  errno = code;
  if (!ok) fail("cannot be recorded beside it");
}

void PartialFile::mark(ByteRange range) {
  if (range.begin >= range.end) return;
  std::lock_guard lock(mutex_);
  append(range);
}

void PartialFile::restart() {
  std::lock_guard lock(mutex_);
  std::error_code ignored;
  fs::remove(ranges_path_, ignored);
  done_.clear();
  resumed_ = 0;
  if (::ftruncate(fd_, 0) != 0) fail("cannot be emptied");
}

bool PartialFile::finish(const std::string& etag, std::string& came) {
  const off_t there = ::lseek(fd_, 0, SEEK_END);
  if (static_cast<uint64_t>(there) > size_ && ::ftruncate(fd_, static_cast<off_t>(size_)) != 0) fail("cannot be cut");
  came = is_checksum(etag) ? file_checksum(path_, etag) : etag;
  if (came != etag) {
    restart();
    return false;
  }
  if (::fdatasync(fd_) != 0) fail("cannot be flushed to the disk");
  std::error_code error;
  fs::rename(path_, blob_, error);
  if (error) throw SystemError(blob_.string(), fmt::format("cannot be named: {}", error.message()));
  fs::remove(ranges_path_, error);
  return true;
}

}  // namespace automodel::net
