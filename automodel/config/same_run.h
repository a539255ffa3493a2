// Whether a configuration may go on with a run that another one began.
#pragma once

#include <string>
#include <vector>

namespace automodel::config {

/// What differs between two configurations, as effective_yaml() writes them, beyond the keys that may change while a
/// run goes on without changing what is trained (lengths, intervals, where things are written): one line a key by its
/// full path, "dataset.sources[0].weight: 3.0, saved with 1.0", in the order of `saved`, then the keys that only `now`
/// has. Empty: the same run. `name` stands for `saved` in messages. Throws ConfigError for what is no YAML.
std::vector<std::string> differences_of_run(const std::string& saved, const std::string& now, const std::string& name);

}  // namespace automodel::config
