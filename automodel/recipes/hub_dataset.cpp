#include "automodel/recipes/hub_dataset.h"

#include <algorithm>

#include "automodel/base/file.h"
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

 private:
  net::Hub hub_;
  net::Repo repo_;
  data::FolderListing listing_;
};

}  // namespace

std::shared_ptr<data::DatasetRepo> open_hub_dataset(const std::string& id, const std::string& revision) {
  return std::make_shared<HubDataset>(net::Hub::from_environment(),
                                      net::Repo{id, net::RepoKind::Dataset, revision.empty() ? "main" : revision});
}

}  // namespace automodel::recipes
