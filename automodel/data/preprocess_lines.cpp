#include "automodel/data/preprocess_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "automodel/base/error.h"

namespace automodel::data {

static constexpr size_t kChunkBytes = 1 << 20, kMaxLineBytes = 1 << 28;

LineChunks::LineChunks(std::vector<std::string> files, LinePlace from) : files_(std::move(files)), place_(from) {}

bool LineChunks::open_next() {
  if (source_) return true;
  if (place_.file >= static_cast<int64_t>(files_.size())) return false;
  source_ = open_bytes_forward(files_[static_cast<size_t>(place_.file)]);
  return true;
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
      const size_t got =
          source_->read_at(place_.offset + static_cast<int64_t>(before), chunk.text.data() + before, kChunkBytes);
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
      source_.reset();
      place_ = {place_.file + 1, 0, 1};
    }
    chunk.end = place_;
    if (!chunk.text.empty()) return chunk;
  }
  return std::nullopt;
}

}  // namespace automodel::data
