#include "automodel/data/csv_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/data/csv_record.h"

namespace automodel::data {

static constexpr int64_t kStride = 8;            // records from one anchor to the next
static constexpr int64_t kTypedRows = 10000;     // the first chunk that datasets reads
static constexpr size_t kBlockBytes = 1 << 18;   // stays in the second-level cache
static constexpr size_t kMaxRowBytes = 1 << 28;  // 256 MiB: no record of a data set is longer
static constexpr size_t kMaxColumns = 1 << 16;

CsvFile::CsvFile(std::string path, char separator)
    : path_(std::move(path)), separator_(separator), bytes_(open_bytes(path_)) {
  char mark[3];
  if (bytes_->read_at(0, mark, 3) == 3 && std::string_view(mark, 3) == "\xEF\xBB\xBF") block_offset_ = 3;
  std::lock_guard lock(mutex_);
  index_until(0);
}

void CsvFile::fail(int64_t line, const std::string& text, const std::string& hint) const {
  throw DataError(fmt::format("{}:{}", path_, line), text, hint);
}

/// Drops what was used of the block and reads more behind it.
void CsvFile::read_block() {
  block_.erase(0, block_used_);
  block_offset_ += static_cast<int64_t>(block_used_);
  block_used_ = 0;
  const size_t before = block_.size(), more = std::max(kBlockBytes, before);
  if (before > kMaxRowBytes)
    fail(line_, fmt::format("the record is longer than {}", format_bytes(kMaxRowBytes)), "is a quote not closed?");
  block_.resize(before + more);
  const size_t got = bytes_->read_at(block_offset_ + static_cast<int64_t>(before), block_.data() + before, more);
  block_.resize(before + got);
  file_read_ = got < more;
}

void CsvFile::see_record(size_t begin, const std::vector<std::string>& fields) {
  if (records_ % kStride == 0) anchors_.push_back({block_offset_ + static_cast<int64_t>(begin), line_});
  if (records_ < kTypedRows)
    for (size_t i = 0; i < fields.size() && i < guesses_.size(); ++i) guesses_[i].see(fields[i]);
  for (size_t i = fields.size(); records_ < kTypedRows && i < guesses_.size(); ++i) guesses_[i].see("");
  ++records_;
}

void CsvFile::index_until(int64_t records) {
  CsvRecord record;
  while (!done_ && (records_ < records || columns_.empty())) {
    const std::string_view rest = std::string_view(block_).substr(block_used_);
    const bool wants_fields = columns_.empty() || records_ < kTypedRows;
    const CsvScan scan = scan_csv_record(rest, separator_, file_read_, wants_fields, record);
    if (scan == CsvScan::Incomplete) {
      read_block();
      continue;
    }
    if (scan == CsvScan::OpenQuote) fail(line_ + record.lines_before, "a quoted field that starts here does not end");
    const size_t begin = block_used_ + record.begin;
    block_used_ += record.end;
    const int64_t next_line = line_ + record.lines;
    line_ += record.lines_before;
    if (scan == CsvScan::End) {
      done_ = true;
    } else if (columns_.empty()) {
      if (record.fields.size() > kMaxColumns) fail(line_, fmt::format("has {} columns", record.fields.size()));
      columns_ = csv_column_names(record.fields);
      guesses_.resize(columns_.size());
    } else {
      see_record(begin, record.fields);
    }
    line_ = next_line;
  }
  if (columns_.empty()) throw DataError(path_, "is empty: a CSV file begins with a line of column names");
  if (types_.empty() && (done_ || records_ >= kTypedRows))
    for (const auto& guess : guesses_) types_.push_back(guess.type());
  if (done_) std::string().swap(block_);
}

bool CsvFile::has(int64_t index) {
  std::lock_guard lock(mutex_);
  index_until(index + 1);
  return index < records_;
}

int64_t CsvFile::size() {
  std::lock_guard lock(mutex_);
  index_until(INT64_MAX);
  return records_;
}

/// The fields of the record `skip` records after the anchor; its line.
std::vector<std::string> CsvFile::fields_at(const Anchor& anchor, int64_t skip, int64_t& line) const {
  std::string buffer;
  size_t used = 0;
  bool at_end = false;
  line = anchor.line;
  CsvRecord record;
  while (true) {
    switch (scan_csv_record(std::string_view(buffer).substr(used), separator_, at_end, skip == 0, record)) {
      case CsvScan::Incomplete: {
        const size_t before = buffer.size(), more = std::max<size_t>(4096, before);
        if (before > (kStride + 1) * kMaxRowBytes) fail(line, "the file changed while it was read");
        buffer.resize(before + more);
        const size_t got = bytes_->read_at(anchor.offset + static_cast<int64_t>(before), buffer.data() + before, more);
        buffer.resize(before + got);
        at_end = got < more;
        break;
      }
      case CsvScan::Record:
        if (skip-- == 0) {
          line += record.lines_before;
          return std::move(record.fields);
        }
        used += record.end;
        line += record.lines;
        break;
      default:
        fail(line, "the file became shorter while it was read");
    }
  }
}

Row CsvFile::at(int64_t index) {
  Anchor anchor{};
  {
    std::lock_guard lock(mutex_);
    index_until(std::max(index + 1, kTypedRows));  // the types are known after the first rows only
    AM_CHECK(index >= 0 && index < records_, "row {} of {}", index, records_);
    anchor = anchors_[static_cast<size_t>(index / kStride)];
  }
  int64_t line = 0;
  const auto fields = fields_at(anchor, index % kStride, line);
  if (fields.size() > columns_.size())
    fail(line, fmt::format("has {} fields, but the header names {} columns", fields.size(), columns_.size()),
         "a field that holds a separator must stand in quotes");
  Row row{Json::object(), fmt::format("{}:{}", path_, line), index};
  for (size_t i = 0; i < columns_.size(); ++i) {
    const std::string_view text = i < fields.size() ? std::string_view(fields[i]) : std::string_view();
    Json value;
    if (!csv_value(text, types_[i], value))
      fail(line,
           fmt::format("column '{}' holds {} in the first {} rows, here '{}'", columns_[i], csv_type_name(types_[i]),
                       kTypedRows, text.substr(0, 100)),
           "convert the file to JSON lines, or put such a row among the first");
    if (find_invalid_utf8(text) != std::string::npos)
      fail(line, fmt::format("column '{}' is no valid UTF-8", columns_[i]), "convert the file to UTF-8");
    row.value[columns_[i]] = std::move(value);
  }
  return row;
}

}  // namespace automodel::data
