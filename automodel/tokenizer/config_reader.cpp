#include "automodel/tokenizer/config_reader.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"

namespace automodel::tokenizer {

[[noreturn]] static void wrong(const char* key, const char* expected, const Json& value, const std::string& where) {
  throw DataError(where, fmt::format("'{}' must be {}, not {}", key, expected, value.type_name()));
}

const Json& member(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object()) throw DataError(where, fmt::format("must be an object, not {}", object.type_name()));
  const auto found = object.find(key);
  if (found == object.end()) throw DataError(where, fmt::format("'{}' is missing", key));
  return *found;
}

std::string text_member(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_string()) wrong(key, "a string", value, where);
  return value.get<std::string>();
}

bool flag_member(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_boolean()) wrong(key, "true or false", value, where);
  return value.get<bool>();
}

bool flag_member(const Json& object, const char* key, const std::string& where, bool otherwise) {
  if (!object.is_object()) throw DataError(where, "must be an object");
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? otherwise : flag_member(object, key, where);
}

uint64_t count_member(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_number_integer() || (!value.is_number_unsigned() && value.get<int64_t>() < 0))
    wrong(key, "a whole number from 0", value, where);
  return value.get<uint64_t>();
}

const Json& array_member(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_array()) wrong(key, "a list", value, where);
  return value;
}

std::string type_of(const Json& component, const std::string& where) { return text_member(component, "type", where); }

}  // namespace automodel::tokenizer
