#include "automodel/data/csv_record.h"

namespace automodel::data {
namespace {

/// Skips lines of blanks; false when the text ends before a record was seen.
bool skip_blank_lines(std::string_view text, char separator, size_t& at, int64_t& lines) {
  while (at < text.size()) {
    size_t i = at;
    while (i < text.size() && (text[i] == ' ' || text[i] == '\t') && text[i] != separator) ++i;
    if (i == text.size()) return false;
    if (text[i] != '\n' && text[i] != '\r') return true;
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
    ++lines;
    at = i + 1;
  }
  return false;
}

struct Fields {
  CsvRecord& record;
  bool wanted;
  std::string field;
  void push(char c) {
    if (wanted) field += c;
  }
  void end() {
    if (wanted) record.fields.push_back(std::move(field));
    field.clear();
  }
};

}  // namespace

CsvScan scan_csv_record(std::string_view text, char separator, bool at_end, bool fields_wanted, CsvRecord& record) {
  record = {};
  size_t at = 0;
  if (!skip_blank_lines(text, separator, at, record.lines)) {
    record.begin = record.end = at;
    return at_end ? CsvScan::End : CsvScan::Incomplete;
  }
  record.begin = at;
  record.lines_before = record.lines;
  enum { Start, Plain, Quoted, Quote } state = Start;
  Fields fields{record, fields_wanted, {}};
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (state == Quoted) {
      if (c == '"') {
        state = Quote;
        continue;
      }
      record.lines += c == '\n' || (c == '\r' && !(at + 1 < text.size() && text[at + 1] == '\n'));
      fields.push(c);
      continue;
    }
    if (c == '\n' || c == '\r') {
      if (c == '\r' && at + 1 == text.size() && !at_end) return CsvScan::Incomplete;  // is it \r\n?
      if (c == '\r' && at + 1 < text.size() && text[at + 1] == '\n') ++at;
      ++record.lines;
      record.end = at + 1;
      fields.end();
      return CsvScan::Record;
    }
    if (c == separator) {
      fields.end();
      state = Start;
    } else if (c == '"' && state == Start) {
      state = Quoted;
    } else if (c == '"' && state == Quote) {
      fields.push(c);
      state = Quoted;
    } else {
      fields.push(c);
      state = Plain;
    }
  }
  if (!at_end) return CsvScan::Incomplete;
  record.end = text.size();
  if (state == Quoted) return CsvScan::OpenQuote;
  fields.end();
  return CsvScan::Record;
}

}  // namespace automodel::data
