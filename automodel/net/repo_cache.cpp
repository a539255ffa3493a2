#include "automodel/net/repo_cache.h"

#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/net/answers.h"
#include "automodel/net/resolve.h"

namespace automodel::net {
namespace fs = std::filesystem;

// Several threads and processes may write one ref or list at a time, so each has a temporary name of its own.
static void replace_file(const fs::path& path, std::string_view text) {
  static std::atomic<int> count{0};
  make_folders(path.parent_path());
  const fs::path temporary = fmt::format("{}.{}-{}.tmp", path.string(), ::getpid(), count++);
  std::error_code error;
  {
    FileWriter writer(temporary);
    writer.write(text);
    writer.close();
  }
  fs::rename(temporary, path, error);
  if (!error) return;
  const std::string why = error.message();
  fs::remove(temporary, error);
  throw SystemError(path.string(), fmt::format("cannot be written: {}", why));
}

bool could_be_repo(const std::string& text) {
  const auto parts = split(text, '/');
  if (parts.size() > 2 || text.size() > 200 || text.find("--") != text.npos || text.find("..") != text.npos ||
      text.ends_with(".git"))
    return false;
  for (const auto& part : parts) {
    if (part.empty() || part.size() > 96) return false;
    for (const char c : {part.front(), part.back()})
      if (c == '-' || c == '.') return false;
    for (const char c : part)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

void check_repo(const Repo& repo) {
  if (!could_be_repo(repo.repo))
    throw ConfigError(repo.repo, "is no name of a repository on the Hub", "expected org/name");
  if (!is_safe_path(repo.revision) || repo.revision.size() > 200)
    throw ConfigError(repo.repo, fmt::format("'{}' is no revision", repo.revision),
                      "expected a branch, a tag, or a commit of 40 digits");
}

RepoCache::RepoCache(const fs::path& cache, const Repo& repo) : cache_(cache), revision_(repo.revision) {
  const std::string name =
      (repo.kind == RepoKind::Dataset ? "datasets--" : "models--") + replace_all(repo.repo, "/", "--");
  folder_ = cache / name;
  locks_ = cache / ".locks" / name;
}

std::optional<std::string> RepoCache::find_commit() const {
  if (is_commit(revision_)) return revision_;
  const fs::path file = folder_ / "refs" / revision_;
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return std::nullopt;
  const std::string commit(trim(read_file(file, 4096)));
  return is_commit(commit) ? std::optional(commit) : std::nullopt;
}

void RepoCache::write_commit(const std::string& commit) const {
  if (revision_ == commit || find_commit() == commit) return;
  replace_file(folder_ / "refs" / revision_, commit);
}

bool RepoCache::has(const std::string& commit, const RepoFile& file) const {
  std::error_code ignored;
  const fs::path path = snapshot(commit) / file.path;
  return fs::is_regular_file(path, ignored) && fs::file_size(path, ignored) == file.size;
}

void RepoCache::link(const std::string& commit, const RepoFile& file) const {
  const fs::path pointer = snapshot(commit) / file.path;
  make_folders(pointer.parent_path());
  fs::path up = "../..";
  for (size_t slash = file.path.find('/'); slash != file.path.npos; slash = file.path.find('/', slash + 1)) up /= "..";
  const fs::path target = up / "blobs" / file.etag;
  static std::atomic<int> count{0};
  const fs::path temporary = fmt::format("{}.{}-{}.tmp", pointer.string(), ::getpid(), count++);
  std::error_code error;
  fs::create_symlink(target, temporary, error);
  if (error) fs::copy_file(blob(file.etag), temporary, error);  // a file system without links
  if (!error) fs::rename(temporary, pointer, error);
  if (!error) return;
  const std::string why = error.message();
  fs::remove(temporary, error);
  throw SystemError(pointer.string(), fmt::format("cannot be made: {}", why));
}

std::optional<std::vector<RepoFile>> RepoCache::find_tree(const std::string& commit) const {
  const fs::path file = folder_ / "trees" / (commit + ".json");
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return std::nullopt;
  try {
    return parse_tree_file(read_file(file, uint64_t{1} << 30), file.string());
  } catch (const Error& error) {
    log_warning(fmt::format("a list of files in the cache is damaged and is fetched again: {}", error.what()));
    return std::nullopt;
  }
}

void RepoCache::write_tree(const std::string& commit, const std::vector<RepoFile>& files) const {
  replace_file(folder_ / "trees" / (commit + ".json"), format_tree_file(files));
}

std::vector<RepoFile> RepoCache::files_there(const std::string& commit) const {
  std::vector<RepoFile> files;
  std::error_code error;
  const fs::path folder = snapshot(commit);
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (!fs::is_regular_file(at->path(), ignored)) continue;
    const fs::path target = fs::read_symlink(at->path(), ignored);
    files.push_back({fs::relative(at->path().parent_path(), folder, ignored) / at->path().filename(),
                     fs::file_size(at->path(), ignored), target.filename().string(), "", ""});
    if (files.back().path.starts_with("./")) files.back().path.erase(0, 2);
  }
  return files;
}

bool RepoCache::is_known_missing(const std::string& commit, const std::string& path) const {
  std::error_code ignored;
  return fs::exists(folder_ / ".no_exist" / commit / path, ignored);
}

void RepoCache::write_missing(const std::string& commit, const std::string& path) const {
  const fs::path file = folder_ / ".no_exist" / commit / path;
  if (std::error_code ignored; !fs::exists(file, ignored)) replace_file(file, "");
}

void RepoCache::make() const {
  make_folders(folder_ / "blobs");
  const fs::path tag = cache_ / "CACHEDIR.TAG";
  if (std::error_code ignored; !fs::exists(tag, ignored))
    replace_file(tag,
                 "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of the Hugging Face Hub.\n");
}

}  // namespace automodel::net
