// The `paths` of a Megatron data set: one prefix, a blend of several, or a blend for each split.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace automodel::data {

inline constexpr std::array<const char*, 3> kMegatronSplits = {"train", "valid", "test"};  // as Megatron calls them

struct MegatronBlend {
  std::vector<std::string> prefixes;
  std::optional<std::vector<double>> weights;  // not set: in proportion to the sets' sizes
};

struct MegatronPaths {
  std::optional<MegatronBlend> all;                   // shared out by `split`, or
  std::array<std::optional<MegatronBlend>, 3> parts;  // train, validation and test each with their own
};

/// From what stands in a recipe, as text:
///   a prefix; a pattern, whose matches are all the .bin and .idx files of a set each; a .json file with one of:
///   ["prefix", "prefix"], ["30", "prefix", "70", "prefix"], {"train": ..., "validation": ..., "test": ...}
///   (also valid, val and dev); or such a list or map itself, as JSON.
/// Throws ConfigError{"dataset.paths"}, DataError for a JSON file that cannot be used.
MegatronPaths parse_megatron_paths(const std::string& text);

}  // namespace automodel::data
