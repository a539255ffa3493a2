#include "automodel/data/line_file.h"

#include <fmt/format.h>

#include <cstring>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::data {

static constexpr int64_t kStride = 8;             // records from one anchor to the next
static constexpr int64_t kBlockBytes = 1 << 18;   // stays in the second-level cache
static constexpr int64_t kMaxRowBytes = 1 << 28;  // 256 MiB: no line of a text data set is longer

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool has_text(const char* begin, const char* end) {
  while (begin < end && is_space(*begin)) ++begin;
  return begin < end;
}

LineFile::LineFile(std::string path, Format format)
    : path_(std::move(path)), format_(format), bytes_(open_bytes(path_)) {
  char mark[3];
  if (bytes_->read_at(0, mark, 3) == 3 && std::memcmp(mark, "\xEF\xBB\xBF", 3) == 0)
    scanned_ = line_start_ = 3;  // byte order mark
}

void LineFile::end_line(int64_t end) {
  if (line_has_text_) {
    if (records_ % kStride == 0) anchors_.push_back({line_start_, line_});
    ++records_;
  }
  line_start_ = end + 1;
  line_has_text_ = false;
  ++line_;
}

void LineFile::index_block(const char* block, int64_t bytes) {
  const char *at = block, *end = block + bytes;
  while (at < end) {
    const auto* newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
    const char* stop = newline ? newline : end;
    line_has_text_ = line_has_text_ || has_text(at, stop);
    if (!newline) break;
    end_line(scanned_ + (newline - block));
    at = newline + 1;
  }
  if (scanned_ + bytes - line_start_ > kMaxRowBytes)
    throw DataError(fmt::format("{}:{}", path_, line_),
                    fmt::format("the line is longer than {}", format_bytes(kMaxRowBytes)),
                    "is this a file of one JSON object a line?");
}

void LineFile::index_until(int64_t records) {
  if (!done_) block_.resize(kBlockBytes);
  while (!done_ && records_ < records) {
    const auto bytes = static_cast<int64_t>(bytes_->read_at(scanned_, block_.data(), block_.size()));
    index_block(block_.data(), bytes);
    scanned_ += bytes;
    if (bytes < kBlockBytes) {
      end_line(scanned_);  // the last line needs no newline
      done_ = true;
    }
  }
  if (done_) std::vector<char>().swap(block_);
}

bool LineFile::has(int64_t index) {
  std::lock_guard lock(mutex_);
  index_until(index + 1);
  return index < records_;
}

int64_t LineFile::size() {
  std::lock_guard lock(mutex_);
  index_until(INT64_MAX);
  return records_;
}

Row LineFile::at(int64_t index) {
  Anchor anchor{};
  {
    std::lock_guard lock(mutex_);
    index_until(index + 1);
    AM_CHECK(index >= 0 && index < records_, "row {} of {}", index, records_);
    anchor = anchors_[static_cast<size_t>(index / kStride)];
  }
  // From the anchor on, skip the records before ours; the buffer holds the file from anchor.offset on and grows as
  // needed.
  std::string buffer;
  size_t begin = 0, searched = 0;
  int64_t line = anchor.line, skip = index % kStride;
  while (true) {
    const size_t newline = buffer.find('\n', searched);
    const bool at_end = newline == std::string::npos;
    if (at_end) {
      searched = buffer.size();
      const size_t more = std::max<size_t>(4096, buffer.size());
      buffer.resize(searched + more);
      const size_t got =
          bytes_->read_at(anchor.offset + static_cast<int64_t>(searched), buffer.data() + searched, more);
      buffer.resize(searched + got);
      if (got > 0 && static_cast<int64_t>(buffer.size()) < (kStride + 1) * kMaxRowBytes) continue;
    }
    const size_t stop = at_end ? buffer.size() : newline;
    if (has_text(buffer.data() + begin, buffer.data() + stop) && skip-- == 0) {
      const std::string_view text(buffer.data() + begin, stop - begin);
      Row row{{}, fmt::format("{}:{}", path_, line), index};
      if (format_ == Format::Json) {
        row.value = parse_json(text, path_, line);
        if (!row.value.is_object())
          throw DataError(row.where, fmt::format("expected a JSON object, got {}", row.value.type_name()));
      } else {
        row.value["text"] = std::string(text.ends_with('\r') ? text.substr(0, text.size() - 1) : text);
      }
      return row;
    }
    if (at_end) throw DataError(fmt::format("{}:{}", path_, line), "the file became shorter while it was read");
    begin = searched = newline + 1;
    ++line;
  }
}

}  // namespace automodel::data
