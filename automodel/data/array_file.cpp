#include "automodel/data/array_file.h"

#include <fmt/format.h>

#include "automodel/base/error.h"

namespace automodel::data {

ArrayFile::ArrayFile(std::string path)
    : path_(std::move(path)), bytes_(open_bytes(path_)), file_(bytes_->plain_path()), text_(file_.text()) {
  if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  skip_space();
  if (at_ < text_.size() && text_[at_] == '[') {
    is_list_ = true;
    ++at_;
  }
}

void ArrayFile::fail(int64_t line, const std::string& text) const {
  throw DataError(fmt::format("{}:{}", path_, line), "not valid JSON: " + text);
}

void ArrayFile::skip_space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
    line_ += text_[at_++] == '\n';
}

size_t ArrayFile::end_of_value(size_t begin) {
  int64_t depth = 0;
  bool in_string = false;
  for (size_t i = begin; i < text_.size(); ++i) {
    const char c = text_[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
      if (c == '"' && depth == 0) return i + 1;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && depth == 0) return i;  // ends the list around a bare number
    if ((c == '}' || c == ']') && --depth == 0) return i + 1;
    if (depth == 0 && (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) return i;
  }
  if (depth > 0 || in_string) fail(line_, "the record that starts here does not end");
  return text_.size();
}

bool ArrayFile::find_record() {
  skip_space();
  if (is_list_ && at_ < text_.size() && text_[at_] == ']') {
    ++at_;
    skip_space();
    if (at_ < text_.size()) fail(line_, "something follows the end of the list");
    return false;
  }
  if (at_ == text_.size()) {
    if (is_list_) fail(line_, "the list does not end with ']'");
    return false;
  }
  if (is_list_ && !records_.empty()) {
    if (text_[at_] != ',') fail(line_, "expected ',' or ']' between records");
    ++at_;
    skip_space();
  }
  const size_t end = at_ < text_.size() ? end_of_value(at_) : at_;
  if (end == at_) fail(line_, "expected a record");
  records_.push_back({at_, end, line_});
  line_ += std::count(text_.begin() + static_cast<long>(at_), text_.begin() + static_cast<long>(end), '\n');
  at_ = end;
  return true;
}

void ArrayFile::index_until(size_t records) {
  while (!done_ && records_.size() < records) done_ = !find_record();
}

bool ArrayFile::has(int64_t index) {
  std::lock_guard lock(mutex_);
  index_until(static_cast<size_t>(index) + 1);
  return static_cast<size_t>(index) < records_.size();
}

int64_t ArrayFile::size() {
  std::lock_guard lock(mutex_);
  index_until(SIZE_MAX);
  return static_cast<int64_t>(records_.size());
}

Row ArrayFile::at(int64_t index) {
  Record record{};
  {
    std::lock_guard lock(mutex_);
    index_until(static_cast<size_t>(index) + 1);
    AM_CHECK(index >= 0 && static_cast<size_t>(index) < records_.size(), "row {} of {}", index, records_.size());
    record = records_[static_cast<size_t>(index)];
  }
  Row row{{}, fmt::format("{}:{}", path_, record.line), index};
  row.value = parse_json(text_.substr(record.begin, record.end - record.begin), path_, record.line);
  if (!row.value.is_object())
    throw DataError(row.where, fmt::format("expected a JSON object, got {}", row.value.type_name()));
  return row;
}

}  // namespace automodel::data
