// Patterns of file paths as fsspec's glob reads them, the matcher of Hugging Face datasets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace automodel::data {

/// Whether the relative path matches: '*' any characters but '/', '?' one of them, [a-z] and [!a-z] one of a set, and a
/// part "**" any number of folders (at the end: everything below). Every other character is itself.
bool path_matches(std::string_view pattern, std::string_view path);

/// The paths that match, in their order, less those that are hidden: a part that begins with '.', or a folder that
/// begins with "__", must be asked for by such a part of the pattern.
std::vector<std::string> match_paths(std::string_view pattern, const std::vector<std::string>& paths);

/// Whether a text holds '*', '?' or '['.
bool is_path_pattern(std::string_view text);

}  // namespace automodel::data
