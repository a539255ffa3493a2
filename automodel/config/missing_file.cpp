#include "automodel/config/missing_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "automodel/base/text.h"

namespace automodel::config {

namespace fs = std::filesystem;

constexpr size_t kMostNames = 8, kMostRead = 10'000;

// The names in a folder, sorted; hidden ones left out.
static std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end && names.size() < kMostRead;
       entry.increment(failed))
    if (const auto name = entry->path().filename().string(); !name.starts_with(".")) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

MissingFile describe_missing(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.ends_with('/')) trimmed.pop_back();
  const fs::path file = trimmed, folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code ignored;
  MissingFile missing{.folder_is_there = fs::is_directory(folder, ignored)};
  if (!missing.folder_is_there) {
    missing.text = fmt::format("a path that is there, and there is no folder {}", folder.string());
    if (trimmed.starts_with("~")) missing.hint = "~ is not replaced: write ${HOME}";
    return missing;
  }
  const bool pattern = trimmed.find_first_of("*?[") != std::string::npos;
  const auto names = names_in(folder);
  const auto meant = pattern ? "" : nearest(file.filename().string(), names);
  missing.text = fmt::format("{}: {}{}", pattern ? "no file matches" : "no such file or folder", path,
                             meant.empty() ? "" : "; did you mean " + meant + "?");
  if (names.empty()) missing.hint = fmt::format("{} is empty", folder.string());
  for (size_t i = 0; i < std::min(names.size(), kMostNames); ++i)
    missing.hint += (i == 0 ? fmt::format("in {} lie ", folder.string()) : ", ") + names[i];
  if (names.size() > kMostNames) missing.hint += ", ...";
  return missing;
}

}  // namespace automodel::config
