// The folder of one repository in the cache, in huggingface_hub's layout (see hub.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "automodel/net/hub.h"

namespace automodel::net {

/// Throws ConfigError unless the name and the revision can be those of a repository: they become parts of paths.
void check_repo(const Repo& repo);

class RepoCache {
 public:
  RepoCache(const std::filesystem::path& cache, const Repo& repo);

  /// The commit that the revision is, or named when it was last asked for. Nothing if it never was.
  std::optional<std::string> find_commit() const;
  void write_commit(const std::string& commit) const;

  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
  std::filesystem::path lock(const std::string& etag) const { return locks_ / (etag + ".lock"); }
  const std::filesystem::path& folder() const { return folder_; }

  /// True if the file of the snapshot is there, with this size.
  bool has(const std::string& commit, const RepoFile& file) const;
  /// Makes the snapshot's relative link to the blob; where links cannot be made, a copy. Replaces what is there.
  void link(const std::string& commit, const RepoFile& file) const;

  /// The files of a commit as once listed, by either program. A damaged list counts as none.
  std::optional<std::vector<RepoFile>> find_tree(const std::string& commit) const;
  void write_tree(const std::string& commit, const std::vector<RepoFile>& files) const;

  /// What of the commit is there, whoever fetched it. Not what it consists of.
  std::vector<RepoFile> files_there(const std::string& commit) const;

  bool is_known_missing(const std::string& commit, const std::string& path) const;
  void write_missing(const std::string& commit, const std::string& path) const;

  /// Makes the folder and the tag by which backup programs know a cache (https://bford.info/cachedir/).
  void make() const;

 private:
  std::filesystem::path cache_, folder_, locks_;
  std::string revision_;
};

}  // namespace automodel::net
