// Several files of one commit brought into the cache: in ranges, side by side, under the cache's locks.
#pragma once

#include <string>
#include <vector>

#include "automodel/net/hub.h"
#include "automodel/net/repo_cache.h"

namespace automodel::net {

/// After it returns, every file is in the snapshot, whole and checked. Files that another process is fetching at the
/// same time are waited for, without holding a lock meanwhile. Throws HubError or SystemError; what was fetched whole
/// stays, what was cut off is kept for the next time.
void fetch_files(const HubSettings& settings, const Repo& repo, const RepoCache& cache, const std::string& commit,
                 const std::vector<RepoFile>& files, const Progress& progress);

/// ENDPOINT/org/name/resolve/REVISION/path, with "datasets/" before a data set's name.
std::string file_url(const HubSettings& settings, const Repo& repo, const std::string& revision,
                     const std::string& path);

}  // namespace automodel::net
