// One record of a CSV text: RFC 4180 as pandas' C parser reads it (the reader of Hugging Face datasets).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace automodel::data {

struct CsvRecord {
  std::vector<std::string> fields;  // without their quotes
  size_t begin = 0;                 // where the record starts in the text, after empty lines
  size_t end = 0;                   // behind its line's end: where the next one is looked for
  int64_t lines_before = 0;         // line ends in [0, begin)
  int64_t lines = 0;                // line ends in [0, end)
};

enum class CsvScan {
  Record,      // one was read
  End,         // nothing but empty lines is left
  Incomplete,  // the text stops before the record does: more is needed
  OpenQuote,   // at_end, and a quoted field does not end
};

/// Reads the first record of `text`. Fields are parted by `separator`; one that begins with '"' lasts to the next lone
/// '"' and may hold separators and line ends, '""' stands for '"'. Text after the closing quote belongs to the field; a
/// quote inside an unquoted field is itself. Records end by \n, \r\n or \r; lines of blanks alone are no records.
/// `at_end`: nothing follows the text. With `fields_wanted` false only the place is found.
CsvScan scan_csv_record(std::string_view text, char separator, bool at_end, bool fields_wanted, CsvRecord& record);

}  // namespace automodel::data
