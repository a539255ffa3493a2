// The last part of writing a file so that a reader sees the old content or the new: for writers of their own kind;
// text goes through write_file_atomically().
#pragma once

#include <filesystem>

namespace automodel {

/// A name beside `path`, of this process, for what will take its place.
std::filesystem::path temporary_beside(const std::filesystem::path& path);

/// Renames `temporary`, whole and flushed to disk, to `path`, which it replaces, and flushes the folder. Throws
/// SystemError, and `temporary` is gone then.
void place_file(const std::filesystem::path& temporary, const std::filesystem::path& path);

}  // namespace automodel
