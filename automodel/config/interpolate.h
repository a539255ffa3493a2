// Environment variables in strings of the configuration.
#pragma once

#include <string>

#include "automodel/config/value.h"
#include "automodel/config/yaml_tree.h"

namespace automodel::config {

/// Replaces ${VAR}, ${VAR,default}, ${oc.env:VAR}, ${oc.env:VAR,default} and $VAR in a string value, then applies
/// translate_value. What the file says is kept in `written`, so that printing never shows what the environment holds. A
/// variable that is not set and has no default leaves the string as it is and its name in `missing`: an error where the
/// key is read.
void resolve_string(Value& value, const Environment& environment);

}  // namespace automodel::config
