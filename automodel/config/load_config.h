// From a YAML file and overrides to a checked RecipeConfig, or to a report of what is wrong with it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/config/capabilities.h"
#include "automodel/config/check_tree.h"
#include "automodel/config/overrides.h"
#include "automodel/config/recipe_config.h"
#include "automodel/config/value.h"
#include "automodel/config/yaml_tree.h"

namespace automodel::config {

/// What `automodel check` says about a configuration.
struct Report {
  std::string file;
  Value root;                    ///< after overrides and short forms
  RecipeConfig config;           ///< as far as it could be read; whole when there are no faults
  Findings findings;             ///< every key and its class; every mistake
  std::vector<Lacking> lacking;  ///< valid, but not in this build
  /// 0: this build can run it; 3: valid, but something lacks; 2: it is wrong, a mistyped path of a file included.
  int exit_code() const;
  /// Those of the findings, and paths of files that are mistyped.
  std::vector<Fault> faults() const;
  /// A message of a run that begins with a key, "a.b.c: ...", with that key named as it was given: "file:line: a.b.c:
  /// ..." or "--a.b.c: ...". Others, and those of keys that were not given, stay as they are.
  std::string placed(const std::string& message) const;

  /// The configuration as it takes effect, with the class of each key, then notes, what lacks and the mistakes.
  std::string text() const;
  /// {"file", "recipe", "exit_code", "keys": [{"key", "value", "line", "class", "note"}], "lacking": [...], "errors":
  /// [...]}
  Json json() const;
};

/// Reads, checks and types the configuration; mistakes are in the report. Throws only when the file cannot be read, is
/// no YAML, or an override cannot be placed.
Report check_config(const std::filesystem::path& file, const std::vector<Override>& overrides,
                    const Capabilities& capabilities, const Environment& environment = process_environment());

/// The same for a tree already read (`name` stands in messages).
Report check_config(Value root, const std::string& name, const Capabilities& capabilities);

/// The configuration to run with. Throws ConfigError that lists the mistakes, or UnsupportedError that lists what
/// lacks.
RecipeConfig require_runnable(const Report& report);

/// require_runnable(check_config(...)).
RecipeConfig load_config(const std::filesystem::path& file, const std::vector<Override>& overrides,
                         const Capabilities& capabilities, const Environment& environment = process_environment());

/// Notes for the start of a run: one line for each mapped and inert key of the file.
std::vector<std::string> start_notes(const Report& report);

/// The whole effective configuration as YAML that load_config() reads back to the same one; what came from environment
/// variables is written as the file had it.
std::string effective_yaml(const RecipeConfig& config);

}  // namespace automodel::config
