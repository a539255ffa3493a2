// The split syntax of Hugging Face datasets: "train", "train[:1000]", "train[10%:20%]", "train[-100:]",
// "train+validation[:5]".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace automodel::data {

/// One summand of a split: a name and a slice of its rows.
struct SplitSlice {
  std::string name;                 // "train"; empty if only a slice was given
  std::optional<int64_t> from, to;  // rows, or per cent if `percent`; negative counts from the end
  bool percent = false;

  /// The rows [first, last) of a split of `rows` rows, as datasets' ReadInstruction rounds them (per cent: to the
  /// nearest row, halves to even).
  std::pair<int64_t, int64_t> range(int64_t rows) const;
  /// Whether range() depends on how many rows there are (more than by stopping at the end).
  bool needs_size() const { return percent || (from && *from < 0) || (to && *to < 0); }
};

/// Throws ConfigError{key} for what is not of this syntax. An empty text is one slice of everything.
std::vector<SplitSlice> parse_split(const std::string& split, const std::string& key = "split");

}  // namespace automodel::data
