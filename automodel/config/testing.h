// For tests: configurations out of a text instead of a file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "automodel/config/load_config.h"

namespace automodel::config {

/// The one environment variable that is set: MY_TOKEN, "hunter2".
inline std::optional<std::string> test_variable(const std::string& name) {
  return name == "MY_TOKEN" ? std::optional<std::string>("hunter2") : std::nullopt;
}

/// What `automodel check` finds in a file f.yaml of this text, with what is typed after it.
inline Report check(const std::string& text, const std::vector<std::string>& arguments = {},
                    const Capabilities& can = {}) {
  Value root = parse_yaml(text, "f.yaml", test_variable);
  std::vector<Fault> ignored;
  expand_short_forms(root, ignored);
  apply_overrides(root, parse_overrides(arguments), test_variable);
  return check_config(std::move(root), "f.yaml", can);
}

/// The least that is no mistake; its files are lacking.
inline const std::string kShort =
    "recipe: finetune\nmodel: M\ndataset: {_target_: chat, path_or_dataset_id: nowhere/d.jsonl}\n";

}  // namespace automodel::config
