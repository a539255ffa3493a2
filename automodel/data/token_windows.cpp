#include "automodel/data/token_windows.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"

namespace automodel::data {
namespace {

class WindowRows : public Rows {
 public:
  explicit WindowRows(std::shared_ptr<const TokenWindows> windows) : windows_(std::move(windows)) {}
  bool has(int64_t index) override { return windows_->has(index); }
  int64_t size() override { return windows_->size(); }
  Row at(int64_t index) override { return {Json::object(), windows_->place(index), index}; }
  std::string order() const override { return windows_->order(); }

 private:
  std::shared_ptr<const TokenWindows> windows_;
};

}  // namespace

std::unique_ptr<Rows> window_rows(std::shared_ptr<const TokenWindows> windows) {
  return std::make_unique<WindowRows>(std::move(windows));
}

WindowBuilder::WindowBuilder(std::shared_ptr<const TokenWindows> windows, WindowLabels labels)
    : windows_(std::move(windows)), labels_(labels) {
  if ((labels.split_documents || labels.mask_end_of_document) && !labels.end_of_document)
    throw ConfigError("dataset", "eod_mask_loss and the reset options need a tokenizer with an eos token");
}

Sample WindowBuilder::build(const Row& row) const {
  std::vector<int32_t> tokens;
  windows_->read(row.index, tokens);
  Sample sample;
  sample.ids.assign(tokens.begin(), tokens.end() - (labels_.extra_token ? 1 : 0));
  sample.labels.assign(tokens.begin() + 1, tokens.end());
  if (!labels_.extra_token) sample.labels.push_back(kNotTrained);
  if (!labels_.end_of_document) return sample;
  for (size_t t = 0; t < sample.ids.size(); ++t) {
    if (sample.ids[t] != *labels_.end_of_document) continue;
    if (labels_.mask_end_of_document) sample.labels[t] = kNotTrained;
    if (labels_.split_documents && t + 1 < sample.ids.size()) sample.starts.push_back(static_cast<int32_t>(t + 1));
  }
  return sample;
}

}  // namespace automodel::data
