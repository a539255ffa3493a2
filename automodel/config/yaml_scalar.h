// What an unquoted YAML scalar means under YAML 1.1 as PyYAML's safe_load reads it: yes/no/on/off are bools, 017 is 15,
// 12:30 is 750, 1_000 is 1000, and 1e-5 (no dot) is a string.
#pragma once

#include <string>
#include <string_view>

#include "automodel/config/value.h"

namespace automodel::config {

/// Resolves one plain scalar. Dates stay strings; an integer of more than 64 bits stays a string. Never throws.
Value resolve_plain_scalar(std::string_view text);

/// The same for an explicit tag: "tag:yaml.org,2002:int" and its siblings null, bool, int, float, str. False when the
/// text does not fit the tag or the tag is another one.
bool resolve_tagged_scalar(std::string_view tag, std::string_view text, Value& result);

}  // namespace automodel::config
