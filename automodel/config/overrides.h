// What is typed after the YAML file: --a.b.c=value, --a.b.c value, --a.b (which is True).
#pragma once

#include <string>
#include <vector>

#include "automodel/config/value.h"
#include "automodel/config/yaml_tree.h"

namespace automodel::config {

struct Override {
  std::string path;   ///< a.b.c
  std::string text;   ///< the value as typed
  bool bare = false;  ///< no value: True
};

/// Splits arguments into overrides. `--key value` takes the next argument unless it starts with "--" (so `--x -1`
/// works). Throws ConfigError for an argument that belongs to nothing (NeMo AutoModel skips it silently) and for an
/// empty key part.
std::vector<Override> parse_overrides(const std::vector<std::string>& arguments);

/// Sets each in the tree, in order, the last writer wins. Values are typed by translate_value: numbers,
/// True/False/None, Python lists and dicts; the word null stays a string, as in NeMo AutoModel. Missing mappings on the
/// way are made; lists cannot be indexed. Of the keys that name a model (config/model_names.h) the one that is typed
/// takes the place of the file's. Throws ConfigError when a part of the path is a value rather than a mapping.
void apply_overrides(Value& root, const std::vector<Override>& overrides, const Environment& environment);

}  // namespace automodel::config
