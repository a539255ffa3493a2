// Sample: one training example as tokens. SampleBuilder: what makes it from a row.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "automodel/data/rows.h"

namespace automodel::data {

inline constexpr int32_t kNotTrained = -100;  // as a label

/// labels are shifted already: labels[t] is the target of position t, the token that follows it, or kNotTrained.
struct Sample {
  std::vector<int32_t> ids, labels;  // equally long
  /// Places where another document begins within the sample, ascending, without 0: nothing sees across them. A sample
  /// is packed, cut and counted as one all the same.
  std::vector<int32_t> starts;

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t trained_tokens() const;
};

/// The sample of a token sequence: ids = tokens[:-1], labels = tokens[1:] where trained, kNotTrained elsewhere. The
/// last token is only a target, as in NeMo AutoModel. Fewer than two tokens give an empty sample.
Sample shift(const std::vector<int32_t>& tokens, const std::vector<bool>& trained);

class SampleBuilder {
 public:
  virtual ~SampleBuilder() = default;
  /// A pure function of the row; may be called from several threads. Throws DataError with row.where.
  virtual Sample build(const Row& row) const = 0;
  /// What a user should know about how samples are made ("the template has no generation marks"); for `automodel data`
  /// and for the end of a run.
  virtual std::vector<std::string> notes() const { return {}; }
};

/// The text in row.value[column]; numbers and booleans as JSON writes them. Throws DataError when the column is missing
/// or holds something else, naming the columns that are there.
std::string text_column(const Row& row, const std::string& column);

}  // namespace automodel::data
