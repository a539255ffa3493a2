// TokenWindows: pre-training data that is tokens already, as numbered windows of one length; and the rows and samples
// made of them.
#pragma once

#include <memory>
#include <optional>

#include "automodel/data/sample.h"

namespace automodel::data {

/// Thread-safe; any window is read without those before it.
class TokenWindows {
 public:
  virtual ~TokenWindows() = default;
  virtual int64_t size() const = 0;
  virtual bool has(int64_t window) const { return window < size(); }
  /// Appends the tokens of a window. REQUIRES has(window). Throws DataError for a damaged file.
  virtual void read(int64_t window, std::vector<int32_t>& tokens) const = 0;
  /// What decides which window comes when: the same text, the same order.
  virtual std::string order() const = 0;
  /// Where a window lies, for errors: the file, and the place in it. REQUIRES has(window).
  virtual std::string place(int64_t window) const = 0;
};

/// One row for each window, in order; to be read by a WindowBuilder.
std::unique_ptr<Rows> window_rows(std::shared_ptr<const TokenWindows> windows);

struct WindowLabels {
  bool extra_token = true;  // the last token is only a target; false: it is read too, and has no target
  /// With an end-of-document token, what follows it in a window is a document of its own: it sees nothing before it,
  /// and its positions begin at 0 (Megatron's reset_attention_mask and reset_position_ids).
  bool split_documents = false;
  bool mask_end_of_document = false;  // positions whose input is that token are not trained (eod_mask_loss)
  std::optional<int32_t> end_of_document;
};

class WindowBuilder : public SampleBuilder {
 public:
  /// Throws ConfigError when labels need an end-of-document token and there is none.
  WindowBuilder(std::shared_ptr<const TokenWindows> windows, WindowLabels labels);
  Sample build(const Row& row) const override;

 private:
  std::shared_ptr<const TokenWindows> windows_;
  WindowLabels labels_;
};

}  // namespace automodel::data
