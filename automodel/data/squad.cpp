#include "automodel/data/squad.h"

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::data {

SquadBuilder::SquadBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, SquadOptions options)
    : tokenizer_(std::move(tokenizer)), options_(std::move(options)) {
  if (!options_.chat.chat_template.empty() || !tokenizer_->chat_template.empty())
    chat_.emplace(tokenizer_, options_.chat);
}

static std::string first_answer(const Row& row, bool needed) {
  const auto answers = row.value.find("answers");
  const Json* texts =
      answers != row.value.end() && answers->is_object() && answers->contains("text") ? &(*answers)["text"] : nullptr;
  if (!texts || !texts->is_array()) throw DataError(row.where, "expected 'answers' to be an object with a list 'text'");
  if (texts->empty() && needed)
    throw DataError(row.where, "has no answer",
                    "rows without answers can be skipped, see the option for rows that cannot be used");
  if (texts->empty()) return "";
  if (!texts->front().is_string()) throw DataError(row.where, "the first of answers.text should be a text");
  return std::string(trim(texts->front().get_ref<const std::string&>()));
}

Sample SquadBuilder::build(const Row& row) const {
  const std::string prompt =
      "Context: " + text_column(row, "context") + " Question: " + text_column(row, "question") + " Answer: ";
  const std::string answer = first_answer(row, chat_.has_value());
  if (!chat_) return prompt_answer_sample(*tokenizer_, prompt, answer, true, options_.edges);
  const Json messages = {{{"role", "user"}, {"content", prompt}}, {{"role", "assistant"}, {"content", answer}}};
  const auto tokens = chat_->tokenize(messages, nullptr, row.where);
  return shift(tokens.ids, tokens.trained);
}

}  // namespace automodel::data
