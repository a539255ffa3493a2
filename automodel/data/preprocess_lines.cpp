#include "automodel/data/preprocess_lines.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "automodel/base/error.h"

namespace automodel::data {

static constexpr size_t kChunkBytes = 1 << 20, kMaxLineBytes = 1 << 28;

LineChunks::LineChunks(std::vector<std::string> files, LinePlace from) : files_(std::move(files)), place_(from) {}
LineChunks::~LineChunks() {
  if (fd_ >= 0) ::close(fd_);
}

bool LineChunks::open_next() {
  if (fd_ >= 0) return true;
  if (place_.file >= static_cast<int64_t>(files_.size())) return false;
  const auto& path = files_[static_cast<size_t>(place_.file)];
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0 || ::lseek(fd_, place_.offset, SEEK_SET) < 0)
    throw SystemError(path, fmt::format("cannot be opened: {}", std::strerror(errno)));
  return true;
}

size_t LineChunks::read(char* to, size_t bytes) {
  size_t got = 0;
  while (got < bytes) {
    const ssize_t n = ::read(fd_, to + got, bytes - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      throw SystemError(files_[static_cast<size_t>(place_.file)],
                        fmt::format("cannot be read: {}", std::strerror(errno)));
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  return got;
}

std::optional<LineChunk> LineChunks::next() {
  while (open_next()) {
    LineChunk chunk{std::move(rest_), place_, place_};
    rest_.clear();
    size_t newline = std::string::npos;
    bool at_end = false;
    while (newline == std::string::npos && !at_end) {
      const size_t before = chunk.text.size();
      chunk.text.resize(before + kChunkBytes);
      const size_t got = read(chunk.text.data() + before, kChunkBytes);
      chunk.text.resize(before + got);
      at_end = got < kChunkBytes;
      newline = chunk.text.rfind('\n');
      if (newline == std::string::npos && chunk.text.size() > kMaxLineBytes)
        throw DataError(fmt::format("{}:{}", files_[static_cast<size_t>(place_.file)], place_.line),
                        "the line is longer than 256 MiB", "is this a file of one JSON object a line?");
    }
    if (!at_end) {
      rest_ = chunk.text.substr(newline + 1);
      chunk.text.resize(newline + 1);
    }
    place_.offset += static_cast<int64_t>(chunk.text.size());
    place_.line += std::count(chunk.text.begin(), chunk.text.end(), '\n');
    if (at_end) {
      ::close(std::exchange(fd_, -1));
      place_ = {place_.file + 1, 0, 1};
    }
    chunk.end = place_;
    if (!chunk.text.empty()) return chunk;
  }
  return std::nullopt;
}

}  // namespace automodel::data
