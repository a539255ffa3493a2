// Data sets of the Hub for the data room, which knows no network.
#pragma once

#include <memory>
#include <string>

#include "automodel/data/data_files.h"

namespace automodel::recipes {

/// Opens "org/name" ("hf://datasets/org/name") at a revision ("": main) by Hub::from_environment(); single files are
/// fetched into its cache when they are needed. Throws HubError, ConfigError.
std::shared_ptr<data::DatasetRepo> open_hub_dataset(const std::string& id, const std::string& revision);

}  // namespace automodel::recipes
