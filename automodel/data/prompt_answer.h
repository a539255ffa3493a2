// Prompt and answer columns: NeMo AutoModel's ColumnMappedTextInstructionDataset.
//
// Plain: the text is prompt + answer, the prompt being the columns that are mapped, each followed by a space; tokenised
// in one piece with the tokenizer's special tokens. With the tokenizer's chat template: a system message (context), a
// user message (question) and an assistant message (answer). Trained are all tokens that share a byte with the answer,
// and an eos after it. (NeMo AutoModel counts the tokens of the prompt alone instead; where prompt and answer meet
// inside a token, its count leaves the answer's first token untrained.)
#pragma once

#include <memory>
#include <optional>

#include "automodel/data/chat_format.h"

namespace automodel::data {

/// Whether bos and eos are put around a text that the tokenizer itself leaves without; absent: as
/// tokenizer_config.json's add_bos_token and add_eos_token say, else not.
struct EdgeTokens {
  std::optional<bool> add_bos, add_eos;
};

/// The ids of a text with the tokenizer's special tokens and the wanted edges, and their offsets; added ids have
/// offsets (0, 0) before the text and (text.size(), text.size()) behind it.
tokenizer::Encoding encode_text(const tokenizer::Tokenizer& tokenizer, const std::string& text,
                                const EdgeTokens& edges);

/// The sample of prompt + answer as one text; `answer_only`: only the answer is trained.
Sample prompt_answer_sample(const tokenizer::Tokenizer& tokenizer, const std::string& prompt, const std::string& answer,
                            bool answer_only, const EdgeTokens& edges);

struct PromptAnswerOptions {
  std::string context, question, answer;  // names of columns; answer and at least one other are needed
  bool answer_only_loss_mask = true;
  bool use_hf_chat_template = false;  // obeyed when there is a template
  ChatOptions chat;
  EdgeTokens edges;
};

class PromptAnswerBuilder : public SampleBuilder {
 public:
  /// Throws ConfigError for a mapping without answer, or with nothing else.
  PromptAnswerBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, PromptAnswerOptions options);
  Sample build(const Row& row) const override;
  std::vector<std::string> notes() const override;

 private:
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  PromptAnswerOptions options_;
  std::optional<ChatFormat> chat_;
};

}  // namespace automodel::data
