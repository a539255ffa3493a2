// SQuAD rows {context, question, answers: {text: [...]}}: NeMo AutoModel's make_squad_dataset.
//
// The prompt is "Context: {context} Question: {question} Answer: ", the answer the first of answers.text without outer
// white space. A tokenizer with a chat template makes a user and an assistant message of them; otherwise they are one
// text, the answer trained (prompt_answer.h). A row without answers has the answer "" and, with a template, is a
// DataError.
#pragma once

#include "automodel/data/prompt_answer.h"

namespace automodel::data {

struct SquadOptions {
  ChatOptions chat;
  EdgeTokens edges;
};

class SquadBuilder : public SampleBuilder {
 public:
  SquadBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, SquadOptions options);
  Sample build(const Row& row) const override;
  std::vector<std::string> notes() const override { return chat_ ? chat_->notes() : std::vector<std::string>(); }

 private:
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  SquadOptions options_;
  std::optional<ChatFormat> chat_;
};

}  // namespace automodel::data
