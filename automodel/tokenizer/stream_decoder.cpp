#include "automodel/tokenizer/stream_decoder.h"

#include <span>

namespace automodel::tokenizer {

std::string StreamDecoder::push(int32_t id) {
  ids_.push_back(id);
  const std::span<const int32_t> all = ids_;
  const std::string before = tokenizer_->decode(all.first(shown_), skip_special_);
  std::string now = tokenizer_->decode(all, skip_special_);
  if (now.size() <= before.size() || now.ends_with("\xEF\xBF\xBD")) return {};
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<ptrdiff_t>(shown_));
  shown_ = ids_.size();
  return now.substr(before.size());
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
