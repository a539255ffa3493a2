#include "automodel/data/prompt_answer.h"

#include <fmt/format.h>

#include "automodel/base/error.h"

namespace automodel::data {
using tokenizer::Encoding;
using tokenizer::Tokenizer;

static bool wants(const Tokenizer& tokenizer, const std::optional<bool>& option, const char* key) {
  if (option) return *option;
  if (!tokenizer.config.is_object()) return false;
  const auto found = tokenizer.config.find(key);
  return found != tokenizer.config.end() && found->is_boolean() && found->get<bool>();
}

Encoding encode_text(const Tokenizer& tokenizer, const std::string& text, const EdgeTokens& edges) {
  Encoding encoding = tokenizer.encode_with_offsets(text, true);
  size_t leading = 0;
  while (leading < encoding.ids.size() && encoding.offsets[leading] == std::pair<size_t, size_t>{0, 0}) ++leading;
  for (size_t t = encoding.ids.size(); t-- > leading && encoding.offsets[t] == std::pair<size_t, size_t>{0, 0};)
    encoding.offsets[t] = {text.size(), text.size()};  // the post-processor's eos: say on which side it stands
  if (wants(tokenizer, edges.add_bos, "add_bos_token") && tokenizer.bos_id &&
      (encoding.ids.empty() || encoding.ids.front() != *tokenizer.bos_id)) {
    encoding.ids.insert(encoding.ids.begin(), *tokenizer.bos_id);
    encoding.offsets.insert(encoding.offsets.begin(), {0, 0});
  }
  if (wants(tokenizer, edges.add_eos, "add_eos_token") && tokenizer.eos_id &&
      (encoding.ids.empty() || encoding.ids.back() != *tokenizer.eos_id)) {
    encoding.ids.push_back(*tokenizer.eos_id);
    encoding.offsets.emplace_back(text.size(), text.size());
  }
  return encoding;
}

Sample prompt_answer_sample(const Tokenizer& tokenizer, const std::string& prompt, const std::string& answer,
                            bool answer_only, const EdgeTokens& edges) {
  const std::string text = prompt + answer;
  const Encoding encoding = encode_text(tokenizer, text, edges);
  std::vector<bool> trained(encoding.ids.size(), !answer_only);
  for (size_t t = 0; answer_only && t < trained.size(); ++t) {
    const auto& [begin, end] = encoding.offsets[t];
    trained[t] = end > prompt.size() || begin == text.size();
  }
  return shift(encoding.ids, trained);
}

PromptAnswerBuilder::PromptAnswerBuilder(std::shared_ptr<const Tokenizer> tokenizer, PromptAnswerOptions options)
    : tokenizer_(std::move(tokenizer)), options_(std::move(options)) {
  if (options_.answer.empty()) throw ConfigError("dataset.column_mapping", "names no column for 'answer'");
  if (options_.context.empty() && options_.question.empty())
    throw ConfigError("dataset.column_mapping", "names no column for 'question' or 'context'");
  if (!options_.answer_only_loss_mask) options_.chat.train_on = TrainOn::Everything;
  const bool has_template = !options_.chat.chat_template.empty() || !tokenizer_->chat_template.empty();
  if (options_.use_hf_chat_template && has_template) chat_.emplace(tokenizer_, options_.chat);
}

/// A missing value, as of an empty cell, is no text; the column must be there all the same.
static std::string prompt_column(const Row& row, const std::string& column) {
  if (column.empty()) return "";
  const auto found = row.value.find(column);
  return found != row.value.end() && found->is_null() ? "" : text_column(row, column);
}

Sample PromptAnswerBuilder::build(const Row& row) const {
  const std::string context = prompt_column(row, options_.context);
  const std::string question = prompt_column(row, options_.question);
  const std::string answer = text_column(row, options_.answer);
  if (chat_) {
    const Json messages = {{{"role", "system"}, {"content", context}},
                           {{"role", "user"}, {"content", question}},
                           {{"role", "assistant"}, {"content", answer}}};
    const auto tokens = chat_->tokenize(messages, nullptr, row.where);
    return shift(tokens.ids, tokens.trained);
  }
  const std::string prompt =
      (options_.context.empty() ? "" : context + " ") + (options_.question.empty() ? "" : question + " ");
  return prompt_answer_sample(*tokenizer_, prompt, answer, options_.answer_only_loss_mask, options_.edges);
}

std::vector<std::string> PromptAnswerBuilder::notes() const {
  if (options_.use_hf_chat_template && !chat_)
    return {
        "use_hf_chat_template is set, but the tokenizer has no chat template: prompt and answer are joined as plain "
        "text"};
  if (chat_) return chat_->notes();
  if (wants(*tokenizer_, options_.edges.add_eos, "add_eos_token")) return {};
  const auto ids = tokenizer_->encode("a", true);
  if (tokenizer_->eos_id && !ids.empty() && ids.back() == *tokenizer_->eos_id) return {};
  return {"no eos follows the answer, so the model does not learn to stop: set dataset.tokenizer.add_eos_token: true"};
}

}  // namespace automodel::data
