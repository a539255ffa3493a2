// ChatFormat: a conversation to tokens, and which of them are trained.
//
// ids = tokenizer(template(messages)), without added special tokens: those of transformers' apply_chat_template.
// Trained tokens come from places in the rendered text, carried over to tokens by their offsets; texts are never
// searched:
//   - a template with {% generation %} marks says it itself (transformers' assistant mask). Every token that shares a
//   byte
//     with a marked span is trained, so also all tokens of a character that ends a span (transformers drops all but the
//     first). A special token that closes the turn behind the marks (only blanks between) is trained too, with those
//     blanks, though transformers' mask lacks it: a model that never sees it trained does not learn to stop. Which
//     token that is, is read from behind the last mark of a rendering that ends with an assistant message;
//   - otherwise the span of an assistant message is what rendering the messages up to and including it adds to
//   rendering those
//     before it, NeMo AutoModel's rule: the turn's header and its end of turn are inside. Each prefix must be a real
//     prefix of the whole rendering, else DataError: a template that rewrites earlier turns needs generation marks. A
//     closing eos that only the shorter rendering has is forgiven, and the token in its place (the end of turn) is
//     trained.
// With TrainOn::ByField and generation marks, a marked span belongs to the message that it first appears with when the
// messages are rendered one by one.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "automodel/data/left_out_watch.h"
#include "automodel/data/sample.h"
#include "automodel/tokenizer/chat_template.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::data {

enum class TrainOn {
  AllTurns,  // every assistant message
  LastTurn,  // the last one
  ByField,   // those whose message says so in ChatOptions::train_field: true or a number that is not 0; where the field
             // lacks, the message is trained
  Everything,  // all tokens; where the template has generation marks, these decide all the same, as in NeMo AutoModel
};

struct ChatOptions {
  /// Source of a template, a file with one, or a JSON file with the key "chat_template"; empty: the tokenizer's own.
  std::string chat_template;
  TrainOn train_on = TrainOn::AllTurns;
  std::string train_field = "train";  // of a message; the template does not see it
  /// reasoning_content that the template renders is read by the model but not trained.
  bool mask_reasoning_content = false;
  /// All assistant messages but the last lose their reasoning_content before the template sees them, as when the model
  /// is used.
  bool drop_history_reasoning = false;
};

/// The template source an option means. Throws DataError/SystemError for a file that cannot be used.
std::string resolve_chat_template(const std::string& option);

/// The variables transformers gives to a template: messages, tools (null if none), documents (null),
/// add_generation_prompt, and the special tokens that the tokenizer has.
Json template_variables(const tokenizer::Tokenizer& tokenizer, const Json& messages, const Json& tools,
                        bool add_generation_prompt);

/// Byte spans [begin, end) of a text to flags of its tokens: from the first token that shares a byte with a span to the
/// last.
std::vector<bool> tokens_in_spans(const tokenizer::Encoding& encoding,
                                  const std::vector<std::pair<size_t, size_t>>& spans);

/// As transformers' get_chat_template: without an option a conversation with tools takes the tokenizer's template named
/// "tool_use" where there is one.
class ChatFormat {
 public:
  /// Throws DataError when neither the option nor the tokenizer has a template.
  ChatFormat(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, ChatOptions options);

  struct Tokens {
    std::vector<int32_t> ids;
    std::vector<bool> trained;
    std::string text;            // the rendering
    tokenizer::Offsets offsets;  // of the ids in it
  };
  /// `messages` as messages_of() gives them, `tools` a list or null; `where` starts the errors; `variables` are further
  /// ones for the template (enable_thinking, add_generation_prompt), an object. Thread-safe.
  Tokens tokenize(const Json& messages, const Json& tools, const std::string& where,
                  const Json& variables = Json::object()) const;

  /// Of every template that a row may take.
  bool marks_generation() const;
  /// What users should know of the conversations so far: a template without marks, marks that leave out the end of
  /// turn, messages and tools that the template does not show.
  std::vector<std::string> notes() const;

 private:
  using Spans = std::vector<std::pair<size_t, size_t>>;
  struct Chat;  // one conversation and its renderings
  const tokenizer::ChatTemplate& template_for(const Json& tools, const std::string& where) const;
  Json variables_of(const Chat& chat, const Json& messages, bool whole) const;
  tokenizer::Rendered render(const Chat& chat, const Json& messages, bool whole) const;
  Spans assistant_spans(const Chat& chat) const;
  Spans marked_spans(const Chat& chat) const;
  std::vector<bool> prepare(Json& messages, const std::string& where) const;
  size_t prefix_end(const Chat& chat, size_t messages) const;
  void train_ends_of_turns(const Chat& chat, const Spans& spans, std::vector<bool>& trained) const;
  std::optional<int32_t> end_of_turn(const Chat& chat) const;
  void unmark_reasoning(const Chat& chat, std::vector<bool>& trained) const;

  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  ChatOptions options_;
  std::optional<tokenizer::ChatTemplate> template_, tool_template_;  // at least one
  mutable std::atomic<bool> completed_turns_ = false;
  mutable LeftOutWatch left_out_;
};

}  // namespace automodel::data
