// Types of a CSV's columns, as Hugging Face datasets finds them (pandas.read_csv, then Arrow).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::data {

enum class CsvType { Int, UnsignedInt, Float, Bool, Text };

/// Words that mean "no value", in quotes or not: "", NA, N/A, NaN, null, None and the rest of pandas' list.
bool is_csv_null(std::string_view text);

/// The narrowest of int64, uint64, float, bool, text that holds every value of a column; values that are null count for
/// none, but make whole numbers floats. A column of nulls alone is of floats.
class CsvTypeGuess {
 public:
  void see(std::string_view text);
  CsvType type() const;

 private:
  bool int64_ = true, uint64_ = true, float_ = true, bool_ = true, whole_ = true;
  bool any_ = false, null_ = false;
};

/// A field as a value of its column's type: null, a number, true or false, or the text. Floats are rounded correctly
/// (pandas' own may differ in the last bit). False when the text is no such value.
bool csv_value(std::string_view text, CsvType type, Json& value);

/// "whole numbers", ... for messages.
std::string_view csv_type_name(CsvType type);

/// Column names of a header: a repeated name a becomes a.1, a.2; an empty one "Unnamed: 3", counted from 0.
std::vector<std::string> csv_column_names(const std::vector<std::string>& header);

}  // namespace automodel::data
