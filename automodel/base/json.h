// JSON read from files with an error that names file, line and column; key order is kept (chat templates need it).
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace automodel {

using Json = nlohmann::ordered_json;

/// Parses one JSON value. `where` (a file, or "file:line") starts the DataError; depth is bounded at 512.
Json parse_json(std::string_view text, const std::string& where);

/// Reads and parses a file. Throws SystemError or DataError{"file:line:column"}.
Json load_json(const std::filesystem::path& path);

}  // namespace automodel
