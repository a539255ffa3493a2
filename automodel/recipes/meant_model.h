// Which model a mistyped Hub id was meant to be, as far as that is known without the Hub.
#pragma once

#include <string>

namespace automodel::recipes {

/// "did you mean org/name, ...?" for a name that is, but for case or two letters, that of a model in the cache or of
/// one whose config.json is the program's own (models/known_models.h); digits, which tell sizes apart, must be the
/// same.
/// "" if there is none, or the name itself is one.
std::string ask_for_meant_model(const std::string& name, const std::string& cache_dir);

}  // namespace automodel::recipes
