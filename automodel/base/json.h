// JSON read from files with an error that names file, line and column; key order is kept (chat templates need it).
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace automodel {

using Json = nlohmann::ordered_json;

/// Parses one JSON value. `where` (a file) starts the DataError "where:line:column", with lines counted from
/// `first_line`, so that a piece of a larger file is named by its place there; depth is bounded at 512.
Json parse_json(std::string_view text, const std::string& where, int64_t first_line = 1);

/// Reads and parses a file. Throws SystemError or DataError{"file:line:column"}.
Json load_json(const std::filesystem::path& path);

}  // namespace automodel
