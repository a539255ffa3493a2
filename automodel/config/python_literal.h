// Python's ast.literal_eval for config values, and NeMo AutoModel's translate_value on top of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "automodel/config/value.h"

namespace automodel::config {

/// Reads a Python literal: None, True, False, numbers (1_000, 0x1f, 1e-5), strings in any quotes with escapes and
/// implicit concatenation, lists, tuples (as lists), sets (as lists), dicts. Nothing for anything else, for complex
/// numbers and bytes (which no config key takes), and for integers of more than 64 bits.
std::optional<Value> parse_python_literal(std::string_view text);

/// What a string of the YAML file or of the command line means to NeMo AutoModel: none/None, true/True, false/False,
/// else a Python literal, else the string itself; strings of more than 1000 characters are left alone. "null" stays a
/// string.
Value translate_value(std::string_view text);

/// float(text) for decimal numbers without underscores, signs or spaces: overflow gives infinity.
std::optional<double> parse_python_float(std::string_view text);

/// The string as a Python literal in single quotes.
std::string python_repr(std::string_view text);

}  // namespace automodel::config
