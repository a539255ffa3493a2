// Conversations with tools in the forms that are not OpenAI's: NeMo AutoModel's make_xlam_dataset and
// make_agent_chat_dataset.
#pragma once

#include "automodel/data/chat_format.h"

namespace automodel::data {

/// xLAM rows {query, tools, answers, id}, tools and answers lists or JSON texts of lists.
///
/// Tools become OpenAI's functions: types str, int, float, double, bool, list map to JSON schema's names and all others
/// that are none to "string"; a parameter without default is required. The conversation is the query by the user and
/// one assistant message with the answers as tool calls "call_{id}_{n}" ("call_{n}" without an id). Throws DataError.
Json xlam_messages(const Row& row);
Json xlam_tools(const Row& row);

/// Agent traces as OpenAI messages. Rows {messages} with the roles system, user, assistant, tool_call, tool_response,
/// tool, or {conversations} with ShareGPT's and function_call, observation.
///
/// Neighbouring tool_call turns become one assistant message with parallel calls (or join the assistant's message
/// before them); answers get the ids of these calls in order, unless they name one. Arguments that are objects become
/// JSON texts as Python's json.dumps writes them. `trim`: what follows the last assistant turn is cut off. Throws
/// DataError.
Json agent_messages(const Row& row, bool trim);
/// The row's tools; a text of blanks counts as none.
Json agent_tools(const Row& row);

/// The JSON text that json.dumps(value, ensure_ascii=False) gives: a space after ',' and ':'.
std::string python_json(const Json& value);

class XlamBuilder : public SampleBuilder {
 public:
  XlamBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, ChatOptions options);
  Sample build(const Row& row) const override;
  std::vector<std::string> notes() const override { return format_.notes(); }

 private:
  ChatFormat format_;
};

struct AgentOptions {
  bool trim_incomplete_last_turn = false;
  /// Oldest exchanges (up to the next user message) are left out until the conversation has at most so many tokens; 0:
  /// none are. System messages and the last exchange stay.
  int64_t fit_tokens = 0;
  /// A chat without an assistant's message becomes a sample without trained tokens instead of a DataError.
  bool filter_no_assistant = false;
};

class AgentChatBuilder : public SampleBuilder {
 public:
  AgentChatBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, ChatOptions chat, AgentOptions options);
  Sample build(const Row& row) const override;
  std::vector<std::string> notes() const override { return format_.notes(); }

 private:
  ChatFormat format_;
  AgentOptions options_;
};

}  // namespace automodel::data
