#include "automodel/data/megatron_blend.h"

#include <fmt/format.h>
#include <glob.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/data/megatron_index.h"

namespace automodel::data {
namespace fs = std::filesystem;

static constexpr const char* kKey = "dataset.paths";

static std::optional<double> number_of(const Json& value) {
  if (value.is_number()) return value.get<double>();
  const std::string text(trim(value.get_ref<const std::string&>()));
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == 0 ? std::optional(number) : std::nullopt;
}

static std::string prefix_of(const Json& value) {
  if (!value.is_string())
    throw ConfigError(kKey, fmt::format("expected the path of a data set, got {}", value.dump()),
                      "a list of paths, or weights and paths in turn: [30, a, 70, b]");
  return std::string(trim(value.get_ref<const std::string&>()));
}

static MegatronBlend blend_of(const Json& value) {
  MegatronBlend blend;
  if (value.is_string()) {
    blend.prefixes = {prefix_of(value)};
    return blend;
  }
  if (!value.is_array() || value.empty())
    throw ConfigError(kKey, fmt::format("expected a path or a list of paths, got {}", value.dump()));
  for (const auto& item : value)
    if (!item.is_string() && !item.is_number()) prefix_of(item);  // says what is wrong
  size_t weights = 0;
  if (value.size() % 2 == 0)
    for (size_t i = 0; i < value.size(); i += 2) weights += number_of(value[i]).has_value();
  if (weights != 0 && weights != value.size() / 2)
    throw ConfigError(kKey, fmt::format("has {} weights for {} sets", weights, value.size() / 2),
                      "weights and paths in turn: [30, a, 70, b]");
  if (weights == 0) {
    for (const auto& item : value) blend.prefixes.push_back(prefix_of(item));
    return blend;
  }
  blend.weights.emplace();
  for (size_t i = 0; i < value.size(); i += 2) {
    const double weight = *number_of(value[i]);
    if (!(weight > 0) || !std::isfinite(weight))
      throw ConfigError(kKey, fmt::format("the weight of {} is {}, expected more than 0", value[i + 1].dump(), weight));
    blend.weights->push_back(weight);
    blend.prefixes.push_back(prefix_of(value[i + 1]));
  }
  return blend;
}

static MegatronPaths paths_of(const Json& value) {
  MegatronPaths paths;
  if (!value.is_object()) {
    paths.all = blend_of(value);
    if (paths.all->prefixes.size() == 1) paths.all->weights.reset();
    return paths;
  }
  for (const auto& [name, part] : value.items()) {
    const size_t split = name == "train"                                                             ? 0
                         : name == "validation" || name == "valid" || name == "val" || name == "dev" ? 1
                         : name == "test"                                                            ? 2
                                                                                                     : 3;
    if (split == 3)
      throw ConfigError(kKey, fmt::format("'{}' is no split", name), "train, validation (valid, val, dev) or test");
    if (paths.parts[split]) throw ConfigError(kKey, fmt::format("names the split of '{}' twice", name));
    if (!part.is_null()) paths.parts[split] = blend_of(part);
  }
  return paths;
}

static Json prefixes_of_pattern(const std::string& pattern) {
  glob_t found{};
  const int failed = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::set<std::string> prefixes;
  for (size_t i = 0; i < found.gl_pathc; ++i) {
    const std::string path = found.gl_pathv[i];
    if (fs::is_directory(path)) continue;  // cached orders lie in a folder of the prefix's name
    if (!path.ends_with(".bin") && !path.ends_with(".idx")) {
      ::globfree(&found);
      throw ConfigError(kKey, fmt::format("'{}' matches {}, which is no .bin or .idx file", pattern, path));
    }
    prefixes.insert(megatron_prefix(path));
  }
  ::globfree(&found);
  if (failed != 0 || prefixes.empty()) throw ConfigError(kKey, fmt::format("no file matches '{}'", pattern));
  return Json(std::vector<std::string>(prefixes.begin(), prefixes.end()));
}

MegatronPaths parse_megatron_paths(const std::string& text) {
  if (text.empty()) throw ConfigError(kKey, "is missing", "the path of a data set without .bin or .idx");
  if (text.starts_with('[') && text.ends_with(']') && text.find('"') == std::string::npos)
    return paths_of(prefixes_of_pattern(text));
  if ((text.starts_with('[') && text.ends_with(']')) || text.starts_with('{')) return paths_of(parse_json(text, kKey));
  if (text.ends_with(".json")) {
    const Json value = load_json(text);
    if (!value.is_array() && !value.is_object())
      throw DataError(text, fmt::format("expected a list or an object, got {}", value.type_name()));
    return paths_of(value);
  }
  return paths_of(text.find_first_of("*?[") == std::string::npos ? Json(text) : prefixes_of_pattern(text));
}

}  // namespace automodel::data
