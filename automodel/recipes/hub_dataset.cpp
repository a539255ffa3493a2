#include "automodel/recipes/hub_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/net/hub.h"

namespace automodel::recipes {
namespace {

class HubDataset : public data::DatasetRepo {
 public:
  HubDataset(net::Hub hub, net::Repo repo) : hub_(std::move(hub)), repo_(std::move(repo)) {
    auto listing = hub_.list(repo_);
    repo_.revision = listing.commit;  // all files of one commit
    listing_.name = repo_.repo;
    for (auto& file : listing.files) listing_.files.push_back(std::move(file.path));
    std::sort(listing_.files.begin(), listing_.files.end());
    if (std::binary_search(listing_.files.begin(), listing_.files.end(), "README.md"))
      listing_.readme = read_file(hub_.file(repo_, "README.md"));
  }
  data::FolderListing list() override { return listing_; }
  std::string fetch(const std::string& file) override { return hub_.file(repo_, file, net::show_progress()).string(); }
  void require(const std::vector<std::string>& files) override {
    if (!hub_.settings().offline()) return;
    const auto cached = hub_.find_cached(repo_);
    std::vector<std::string> missing;
    for (const auto& file : files)
      if (!cached || !std::filesystem::exists(*cached / file)) missing.push_back(file);
    if (missing.empty()) return;
    const size_t count = missing.size();
    if (count > 3) missing.resize(3), missing.push_back("...");
    throw net::HubError(
        repo_.repo,
        fmt::format("{} of the {} of the split {} not in the cache, and {}: {}", count,
                    counted(std::ssize(files), "file"), noun_for(static_cast<int64_t>(count), "is", "are"),
                    hub_.settings().offline_reason(), join(missing, ", ")),
        fmt::format("unset {} once, so that they are fetched", join(hub_.settings().offline_by, " and ")));
  }

 private:
  net::Hub hub_;
  net::Repo repo_;
  data::FolderListing listing_;
};

}  // namespace

std::shared_ptr<data::DatasetRepo> open_hub_dataset(const std::string& id, const std::string& revision) {
  return std::make_shared<HubDataset>(net::Hub::from_environment(net::RepoKind::Dataset),
                                      net::Repo{id, net::RepoKind::Dataset, revision.empty() ? "main" : revision});
}

}  // namespace automodel::recipes
