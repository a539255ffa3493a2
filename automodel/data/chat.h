// Chat rows ("messages", ShareGPT "conversations", with "tools"): NeMo AutoModel's ChatDataset.
#pragma once

#include "automodel/data/chat_format.h"

namespace automodel::data {

class ChatBuilder : public SampleBuilder {
 public:
  ChatBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, ChatOptions options);
  Sample build(const Row& row) const override;
  std::vector<std::string> notes() const override;

 private:
  ChatFormat format_;
};

}  // namespace automodel::data
