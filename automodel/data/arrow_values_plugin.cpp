#include "automodel/data/arrow_values_plugin.h"

#include <arrow/array.h>
#include <arrow/extension_type.h>
#include <arrow/pretty_print.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/util/float16.h>
#include <arrow/util/utf8.h>

#include <cstdio>
#include <ctime>
#include <stdexcept>

namespace automodel::data {
namespace {

using arrow::Array;
using arrow::Type;

template <class A>
const A& as(const Array& array) {
  return static_cast<const A&>(array);
}

Json bytes_value(std::string_view bytes) {
  if (arrow::util::ValidateUTF8(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int64_t>(bytes.size())))
    return std::string(bytes);
  return Json::binary({bytes.begin(), bytes.end()});
}

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
int64_t floor_modulo(int64_t a, int64_t b) { return (a % b + b) % b; }

std::string clock_text(int64_t seconds, int64_t fraction, int digits) {  // Python shows micro- or nanoseconds, or none
  char text[48];
  std::snprintf(text, sizeof text, "%02d:%02d:%02d", static_cast<int>(seconds / 3600),
                static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  std::string out = text;
  if (fraction == 0) return out;
  if (digits == 3) fraction *= 1000, digits = 6;
  if (digits == 9 && fraction % 1000 == 0) fraction /= 1000, digits = 6;
  std::snprintf(text, sizeof text, ".%0*lld", digits, static_cast<long long>(fraction));
  return out + text;
}

std::string date_text(int64_t days) {  // proleptic Gregorian calendar, days from 1970-01-01
  if (days > 2932896 || days < -719162) throw std::runtime_error("a date lies outside the years 1 to 9999");
  const std::time_t seconds = static_cast<std::time_t>(days) * 86400;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
  return text;
}

struct Unit {
  int64_t per_second;
  int digits;
};
Unit unit_of(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return {1, 0};
    case arrow::TimeUnit::MILLI:
      return {1000, 3};
    case arrow::TimeUnit::MICRO:
      return {1000000, 6};
    default:
      return {1000000000, 9};
  }
}

std::string timestamp_text(int64_t value, const arrow::TimestampType& type) {
  const Unit unit = unit_of(type.unit());
  const int64_t seconds = floor_divide(value, unit.per_second), fraction = floor_modulo(value, unit.per_second);
  std::string text =
      date_text(floor_divide(seconds, 86400)) + " " + clock_text(floor_modulo(seconds, 86400), fraction, unit.digits);
  return type.timezone().empty() ? text : text + "+00:00";
}

std::string time_text(int64_t value, arrow::TimeUnit::type name) {
  const Unit unit = unit_of(name);
  if (value < 0 || value / unit.per_second >= 86400) throw std::runtime_error("a time lies outside a day");
  return clock_text(value / unit.per_second, value % unit.per_second, unit.digits);
}

Json list_value(const Array& values, int64_t begin, int64_t end) {
  Json list = Json::array();
  for (int64_t i = begin; i < end; ++i) list.push_back(arrow_value(values, i));
  return list;
}

Json map_value(const arrow::MapArray& map, int64_t index) {
  Json pairs = Json::array();
  for (int64_t i = map.value_offset(index); i < map.value_offset(index + 1); ++i)
    pairs.push_back(Json::array({arrow_value(*map.keys(), i), arrow_value(*map.items(), i)}));
  return pairs;
}

Json struct_value(const arrow::StructArray& array, int64_t index) {
  Json object = Json::object();
  const auto& type = *array.struct_type();
  for (int k = 0; k < type.num_fields(); ++k) {
    Json value = arrow_value(*array.field(k), index);
    if (!value.is_null()) object[type.field(k)->name()] = std::move(value);
  }
  return object;
}

Json extension_value(const arrow::ExtensionArray& array, int64_t index) {
  const auto& type = static_cast<const arrow::ExtensionType&>(*array.type());
  Json value = arrow_value(*array.storage(), index);
  if (type.extension_name() != "arrow.json" || !value.is_string()) return value;
  Json parsed = Json::parse(value.get_ref<const std::string&>(), nullptr, false);
  if (parsed.is_discarded()) throw std::runtime_error("a value of type arrow.json is no JSON");
  return parsed;
}

Json number_value(const Array& array, int64_t i) {
  switch (array.type_id()) {
    case Type::INT8:
      return as<arrow::Int8Array>(array).Value(i);
    case Type::INT16:
      return as<arrow::Int16Array>(array).Value(i);
    case Type::INT32:
      return as<arrow::Int32Array>(array).Value(i);
    case Type::INT64:
      return as<arrow::Int64Array>(array).Value(i);
    case Type::UINT8:
      return as<arrow::UInt8Array>(array).Value(i);
    case Type::UINT16:
      return as<arrow::UInt16Array>(array).Value(i);
    case Type::UINT32:
      return as<arrow::UInt32Array>(array).Value(i);
    case Type::UINT64:
      return as<arrow::UInt64Array>(array).Value(i);
    case Type::HALF_FLOAT:
      return arrow::util::Float16::FromBits(as<arrow::HalfFloatArray>(array).Value(i)).ToDouble();
    case Type::FLOAT:
      return static_cast<double>(as<arrow::FloatArray>(array).Value(i));
    default:
      return as<arrow::DoubleArray>(array).Value(i);
  }
}

/// Dates, times, decimals: texts as Python's str() gives them.
Json printed_value(const Array& array, int64_t i) {
  switch (array.type_id()) {
    case Type::DATE32:
      return date_text(as<arrow::Date32Array>(array).Value(i));
    case Type::DATE64:
      return date_text(floor_divide(as<arrow::Date64Array>(array).Value(i), 86400000));
    case Type::TIMESTAMP:
      return timestamp_text(as<arrow::TimestampArray>(array).Value(i),
                            static_cast<const arrow::TimestampType&>(*array.type()));
    case Type::TIME32:
      return time_text(as<arrow::Time32Array>(array).Value(i),
                       static_cast<const arrow::Time32Type&>(*array.type()).unit());
    case Type::TIME64:
      return time_text(as<arrow::Time64Array>(array).Value(i),
                       static_cast<const arrow::Time64Type&>(*array.type()).unit());
    case Type::DURATION:
      return as<arrow::DurationArray>(array).Value(i);
    case Type::DECIMAL32:
      return as<arrow::Decimal32Array>(array).FormatValue(i);
    case Type::DECIMAL64:
      return as<arrow::Decimal64Array>(array).FormatValue(i);
    case Type::DECIMAL128:
      return as<arrow::Decimal128Array>(array).FormatValue(i);
    case Type::DECIMAL256:
      return as<arrow::Decimal256Array>(array).FormatValue(i);
    default:
      throw std::runtime_error("values of type " + array.type()->ToString() + " cannot be read by this build");
  }
}

}  // namespace

Json arrow_value(const Array& array, int64_t i) {
  if (array.IsNull(i)) return nullptr;
  switch (array.type_id()) {
    case Type::NA:
      return nullptr;
    case Type::BOOL:
      return as<arrow::BooleanArray>(array).Value(i);
    case Type::INT8:
    case Type::INT16:
    case Type::INT32:
    case Type::INT64:
    case Type::UINT8:
    case Type::UINT16:
    case Type::UINT32:
    case Type::UINT64:
    case Type::HALF_FLOAT:
    case Type::FLOAT:
    case Type::DOUBLE:
      return number_value(array, i);
    case Type::STRING:
      return std::string(as<arrow::StringArray>(array).GetView(i));
    case Type::LARGE_STRING:
      return std::string(as<arrow::LargeStringArray>(array).GetView(i));
    case Type::STRING_VIEW:
      return std::string(as<arrow::StringViewArray>(array).GetView(i));
    case Type::BINARY:
      return bytes_value(as<arrow::BinaryArray>(array).GetView(i));
    case Type::LARGE_BINARY:
      return bytes_value(as<arrow::LargeBinaryArray>(array).GetView(i));
    case Type::BINARY_VIEW:
      return bytes_value(as<arrow::BinaryViewArray>(array).GetView(i));
    case Type::FIXED_SIZE_BINARY:
      return bytes_value(as<arrow::FixedSizeBinaryArray>(array).GetView(i));
    case Type::LIST:
      return list_value(*as<arrow::ListArray>(array).values(), as<arrow::ListArray>(array).value_offset(i),
                        as<arrow::ListArray>(array).value_offset(i + 1));
    case Type::LARGE_LIST:
      return list_value(*as<arrow::LargeListArray>(array).values(), as<arrow::LargeListArray>(array).value_offset(i),
                        as<arrow::LargeListArray>(array).value_offset(i + 1));
    case Type::FIXED_SIZE_LIST: {
      const auto& list = as<arrow::FixedSizeListArray>(array);
      return list_value(*list.values(), list.value_offset(i), list.value_offset(i) + list.value_length(i));
    }
    case Type::LIST_VIEW: {
      const auto& list = as<arrow::ListViewArray>(array);
      return list_value(*list.values(), list.value_offset(i), list.value_offset(i) + list.value_length(i));
    }
    case Type::MAP:
      return map_value(as<arrow::MapArray>(array), i);
    case Type::STRUCT:
      return struct_value(as<arrow::StructArray>(array), i);
    case Type::DICTIONARY: {
      const auto& coded = as<arrow::DictionaryArray>(array);
      return arrow_value(*coded.dictionary(), coded.GetValueIndex(i));
    }
    case Type::EXTENSION:
      return extension_value(as<arrow::ExtensionArray>(array), i);
    default:
      return printed_value(array, i);
  }
}

}  // namespace automodel::data
