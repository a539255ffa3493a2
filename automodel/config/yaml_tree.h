// A YAML file as a tree of values, with line and column of every key and value, read as NeMo AutoModel reads it.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "automodel/config/value.h"

namespace automodel::config {

/// Limits of what is read: beyond them ConfigError.
inline constexpr size_t kMaxFileBytes = size_t{4} << 20;
inline constexpr size_t kMaxNodes = 100'000;  ///< after aliases and merges
inline constexpr int kMaxDepth = 64;

/// Looks up an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// The variables of this process.
Environment process_environment();

/// Parses one document: YAML 1.1 scalars as PyYAML's safe_load, anchors, aliases and merge keys (`<<`), then ${VAR}
/// interpolation and translate_value on every string but `_target_` and `*_fn`. The root is a mapping (an empty file is
/// one without keys). Throws ConfigError{"name:line:column"} for what is no YAML, a key that stands twice in one
/// mapping, a tag other than YAML's core ones, a second document, recursion, and more than the limits above.
Value parse_yaml(std::string_view text, const std::string& name, const Environment& environment);

/// Reads and parses a file. Throws ConfigError for a path that is not there, with what is nearest beside it, or that is
/// a folder; SystemError when the file cannot be read.
Value load_yaml(const std::filesystem::path& path, const Environment& environment);

/// The YAML tree alone, before interpolation and translate_value: what safe_load returns.
Value parse_plain_yaml(std::string_view text, const std::string& name);

}  // namespace automodel::config
