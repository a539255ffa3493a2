#include "automodel/data/sample.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::data {

int64_t Sample::trained_tokens() const {
  return static_cast<int64_t>(labels.size()) - std::count(labels.begin(), labels.end(), kNotTrained);
}

Sample shift(const std::vector<int32_t>& tokens, const std::vector<bool>& trained) {
  AM_CHECK(tokens.size() == trained.size(), "{} tokens, {} flags", tokens.size(), trained.size());
  Sample sample;
  if (tokens.size() < 2) return sample;
  sample.ids.assign(tokens.begin(), tokens.end() - 1);
  sample.labels.resize(sample.ids.size(), kNotTrained);
  for (size_t t = 1; t < tokens.size(); ++t)
    if (trained[t]) sample.labels[t - 1] = tokens[t];
  return sample;
}

std::string text_column(const Row& row, const std::string& column) {
  const auto found = row.value.find(column);
  if (found == row.value.end()) {
    std::vector<std::string> names;
    for (const auto& [name, value] : row.value.items()) names.push_back(name);
    const std::string near = nearest(column, names);
    throw DataError(row.where, fmt::format("has no column '{}' (columns: {})", column, join(names, ", ")),
                    near.empty() ? "" : fmt::format("did you mean '{}'?", near));
  }
  if (found->is_string()) return found->get<std::string>();
  if (found->is_number() || found->is_boolean()) return found->dump();
  throw DataError(row.where, fmt::format("column '{}' should be a text, got {}", column, found->type_name()));
}

}  // namespace automodel::data
