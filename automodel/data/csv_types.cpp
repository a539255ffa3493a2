#include "automodel/data/csv_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace automodel::data {

bool is_csv_null(std::string_view text) {
  static constexpr std::string_view kWords[] = {"",     "#N/A",   "#N/A N/A", "#NA",  "-1.#IND", "-1.#QNAN", "-NaN",
                                                "-nan", "1.#IND", "1.#QNAN",  "<NA>", "N/A",     "NA",       "NULL",
                                                "NaN",  "None",   "n/a",      "nan",  "null"};
  return text.size() <= 9 && std::find(std::begin(kWords), std::end(kWords), text) != std::end(kWords);
}

namespace {

std::string_view without_blanks(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view without_plus(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  return text;
}

template <class T>
std::errc parse(std::string_view text, T& value) {
  text = without_plus(without_blanks(text));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return error;
  return error != std::errc() || end != text.data() + text.size() ? std::errc::invalid_argument : std::errc();
}

bool parse_float(std::string_view text, double& value) {
  text = without_plus(without_blanks(text));
  const std::string_view number = text.starts_with('-') ? text.substr(1) : text;
  std::string small(number);
  for (char& c : small) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (small == "inf" || small == "infinity") {
    value = text.starts_with('-') ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    return true;
  }
  if (number.empty() || !(std::isdigit(static_cast<unsigned char>(number[0])) || number[0] == '.')) return false;
  return parse(text, value) == std::errc();
}

bool parse_bool(std::string_view text, bool& value) {
  value = text == "True" || text == "TRUE" || text == "true";
  return value || text == "False" || text == "FALSE" || text == "false";
}

}  // namespace

void CsvTypeGuess::see(std::string_view text) {
  if (is_csv_null(text)) {
    null_ = true;
    return;
  }
  any_ = true;
  int64_t number = 0;
  uint64_t natural = 0;
  double real = 0;
  bool flag = false;
  if (whole_) {
    const std::errc signed_fault = parse(text, number), unsigned_fault = parse(text, natural);
    int64_ = int64_ && signed_fault == std::errc();
    uint64_ = uint64_ && unsigned_fault == std::errc();
    whole_ = signed_fault != std::errc::invalid_argument;
  }
  float_ = float_ && parse_float(text, real);
  bool_ = bool_ && parse_bool(text, flag);
}

CsvType CsvTypeGuess::type() const {
  if (!any_) return CsvType::Float;
  if (whole_ && int64_) return null_ ? CsvType::Float : CsvType::Int;
  if (whole_) return uint64_ && !null_ ? CsvType::UnsignedInt : CsvType::Text;
  if (float_) return CsvType::Float;
  return bool_ ? CsvType::Bool : CsvType::Text;
}

bool csv_value(std::string_view text, CsvType type, Json& value) {
  value = nullptr;
  if (is_csv_null(text)) return true;
  int64_t number = 0;
  uint64_t natural = 0;
  double real = 0;
  bool flag = false;
  switch (type) {
    case CsvType::Int:
      if (parse(text, number) == std::errc()) return value = number, true;
      // A later "3.0" is still a whole number, as Arrow's safe cast has it.
      if (parse_float(text, real) && std::abs(real) < 9007199254740992.0 && real == std::floor(real))
        return value = static_cast<int64_t>(real), true;
      return false;
    case CsvType::UnsignedInt:
      return parse(text, natural) == std::errc() ? (value = natural, true) : false;
    case CsvType::Float:
      return parse_float(text, real) ? (value = real, true) : false;
    case CsvType::Bool:
      return parse_bool(text, flag) ? (value = flag, true) : false;
    case CsvType::Text:
      value = std::string(text);
      return true;
  }
  return false;
}

std::string_view csv_type_name(CsvType type) {
  constexpr std::string_view kNames[] = {"whole numbers", "whole numbers", "numbers", "true and false", "texts"};
  return kNames[static_cast<int>(type)];
}

std::vector<std::string> csv_column_names(const std::vector<std::string>& header) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (size_t i = 0; i < header.size(); ++i) {
    const std::string wanted = header[i].empty() ? fmt::format("Unnamed: {}", i) : header[i];
    std::string name = wanted;
    for (int repeat = 1; !taken.insert(name).second; ++repeat) name = fmt::format("{}.{}", wanted, repeat);
    names.push_back(name);
  }
  return names;
}

}  // namespace automodel::data
