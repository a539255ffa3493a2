#include "automodel/data/chat.h"

#include "automodel/data/messages.h"

namespace automodel::data {

ChatBuilder::ChatBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, ChatOptions options)
    : format_(std::move(tokenizer), std::move(options)) {}

Sample ChatBuilder::build(const Row& row) const {
  const auto tokens = format_.tokenize(messages_of(row), tools_of(row), row.where);
  return shift(tokens.ids, tokens.trained);
}

std::vector<std::string> ChatBuilder::notes() const { return format_.notes(); }

}  // namespace automodel::data
