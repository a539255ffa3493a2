#include "automodel/tokenizer/stream_decoder.h"

#include <span>

namespace automodel::tokenizer {

static constexpr size_t kMostPending = 64;  // ids held back at most
static constexpr size_t kUnfinished = 3;    // ids that may be the beginning of a character

std::string StreamDecoder::push(int32_t id) {
  ids_.push_back(id);
  std::span<const int32_t> all = ids_;
  const std::string before = tokenizer_->decode(all.first(shown_), skip_special_);
  std::string now = tokenizer_->decode(all, skip_special_);
  if (now.size() <= before.size() || now.ends_with("\xEF\xBF\xBD")) {
    if (ids_.size() - shown_ < kMostPending) return {};
    all = all.first(ids_.size() - kUnfinished);  // no character is that long: what waits is broken
    now = tokenizer_->decode(all, skip_special_);
  }
  const size_t given = all.size();
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<ptrdiff_t>(shown_));
  shown_ = given - shown_;
  return now.size() > before.size() ? now.substr(before.size()) : std::string();
}

std::string StreamDecoder::finish() {
  const std::span<const int32_t> all = ids_;
  const std::string before = tokenizer_->decode(all.first(shown_), skip_special_);
  const std::string now = tokenizer_->decode(all, skip_special_);
  ids_.clear();
  shown_ = 0;
  return now.size() > before.size() ? now.substr(before.size()) : std::string();
}

}  // namespace automodel::tokenizer
