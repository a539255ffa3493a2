// HellaSwag rows {ctx, endings: [...], label}: NeMo AutoModel's HellaSwag.
//
// Context and the right ending are tokenised apart, each with the tokenizer's special tokens; a special token that ends
// the context and one that begins the ending are taken off. ids = context + ending; labels = [-100] * (len(context) -
// 1) + ending + [-100]: nothing is cut, the last position has no target. Never padded.
#pragma once

#include <set>

#include "automodel/data/prompt_answer.h"

namespace automodel::data {

class HellaSwagBuilder : public SampleBuilder {
 public:
  HellaSwagBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, EdgeTokens edges);
  Sample build(const Row& row) const override;

 private:
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::set<int32_t> special_;
  EdgeTokens edges_;
};

}  // namespace automodel::data
