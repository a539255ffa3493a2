// download: files of the Hub into the cache.
#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/json.h"
#include "automodel/cli/commands.h"
#include "automodel/net/resolve.h"

namespace automodel::cli {

int run_download(const DownloadOptions& options) {
  const auto kind = options.dataset ? net::RepoKind::Dataset : net::RepoKind::Model;
  net::Repo repo{options.repo, kind, options.revision};
  const auto hub = net::Hub::from_environment();
  const bool what_a_run_needs = !options.dataset && options.include.empty();
  const auto folder = what_a_run_needs ? net::fetch_model(hub, repo, net::ModelFiles::All, net::show_progress())
                                       : hub.snapshot(repo, options.include, net::show_progress());
  if (!options.json) {
    std::cout << folder.string() << "\n";
    return 0;
  }
  repo.revision = folder.filename().string();
  size_t files = 0;
  uint64_t bytes = 0;
  for (const auto& file : hub.list(repo).files) {
    std::error_code ignored;
    if (!std::filesystem::exists(folder / file.path, ignored)) continue;
    ++files;
    bytes += file.size;
  }
  std::cout << Json{{"path", folder.string()}, {"commit", repo.revision}, {"files", files}, {"bytes", bytes}}.dump()
            << "\n";
  return 0;
}

}  // namespace automodel::cli
