// Reading the parts of tokenizer.json with errors that name file and key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "automodel/base/json.h"

namespace automodel::tokenizer {

/// The value of `key`; DataError{where} if it is missing. `where` is "file: normalizer".
const Json& member(const Json& object, const char* key, const std::string& where);

std::string text_member(const Json& object, const char* key, const std::string& where);
bool flag_member(const Json& object, const char* key, const std::string& where);
bool flag_member(const Json& object, const char* key, const std::string& where,
                 bool otherwise);  // otherwise: missing or null
uint64_t count_member(const Json& object, const char* key, const std::string& where);
const Json& array_member(const Json& object, const char* key, const std::string& where);

/// "type" of a component.
std::string type_of(const Json& component, const std::string& where);

}  // namespace automodel::tokenizer
