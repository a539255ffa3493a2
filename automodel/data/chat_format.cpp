#include "automodel/data/chat_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/data/messages.h"

namespace automodel::data {
using tokenizer::Encoding;

static constexpr uint64_t kMaxTemplateBytes = 16 << 20;

std::string resolve_chat_template(const std::string& option) {
  if (option.find("{%") != std::string::npos || option.find("{{") != std::string::npos) return option;
  if (!std::filesystem::exists(option))
    throw DataError(option, "is neither a chat template nor a file that holds one",
                    "a template has {% ... %} or {{ ... }}");
  const std::string text = read_file(option, kMaxTemplateBytes);
  if (const size_t at = find_invalid_utf8(text); at != std::string::npos)
    throw DataError(option, fmt::format("the template is not UTF-8 at byte {}", at));
  if (std::filesystem::path(option).extension() != ".json") return text;
  const Json json = parse_json(text, option);
  if (!json.is_object() || !json.contains("chat_template") || !json["chat_template"].is_string())
    throw DataError(option, "has no text under the key 'chat_template'");
  return json["chat_template"].get<std::string>();
}

Json template_variables(const tokenizer::Tokenizer& tokenizer, const Json& messages, const Json& tools,
                        bool add_generation_prompt) {
  Json variables = {{"messages", messages},
                    {"tools", tools},
                    {"documents", nullptr},
                    {"add_generation_prompt", add_generation_prompt}};
  for (const auto& [name, token] : {std::pair{"bos_token", &tokenizer.bos_token},
                                    {"eos_token", &tokenizer.eos_token},
                                    {"pad_token", &tokenizer.pad_token},
                                    {"unk_token", &tokenizer.unk_token}})
    if (!token->empty()) variables[name] = *token;
  for (const auto* name : {"sep_token", "cls_token", "mask_token"}) {
    if (!tokenizer.config.is_object() || !tokenizer.config.contains(name)) continue;
    const Json& token = tokenizer.config[name];
    if (token.is_string()) variables[name] = token;
    if (token.is_object() && token.contains("content")) variables[name] = token["content"];
  }
  return variables;
}

std::vector<bool> tokens_in_spans(const Encoding& encoding, const std::vector<std::pair<size_t, size_t>>& spans) {
  std::vector<bool> inside(encoding.ids.size(), false);
  for (const auto& [begin, end] : spans) {
    size_t first = inside.size(), last = 0;
    for (size_t t = 0; t < inside.size(); ++t) {
      const auto& [from, to] = encoding.offsets[t];
      if (from >= end || to <= begin || from == to) continue;
      first = std::min(first, t);
      last = t;
    }
    for (size_t t = first; t < inside.size() && t <= last; ++t) inside[t] = true;
  }
  return inside;
}

struct ChatFormat::Chat {
  Json messages;
  Json tools;
  const std::string& where;
  const Json& variables;
  std::vector<bool> wanted;  // messages whose text is trained
  tokenizer::Rendered rendered;
  Encoding encoding;
};

ChatFormat::ChatFormat(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, ChatOptions options)
    : tokenizer_(std::move(tokenizer)), options_(std::move(options)) {
  const std::string& option = options_.chat_template;
  if (!option.empty()) {
    const bool is_source = option.find("{%") != std::string::npos || option.find("{{") != std::string::npos;
    template_.emplace(
        tokenizer::ChatTemplate::parse(resolve_chat_template(option), is_source ? "chat template" : option));
    return;
  }
  const std::string &own = tokenizer_->chat_template, &with_tools = tokenizer_->template_for(true);
  if (!own.empty()) template_.emplace(tokenizer::ChatTemplate::parse(own));
  if (with_tools != own) tool_template_.emplace(tokenizer::ChatTemplate::parse(with_tools, "chat template tool_use"));
  if (!template_ && !tool_template_)
    throw DataError("chat_template", "the tokenizer has no chat template",
                    "give one: dataset.chat_template takes a file or the template itself");
}

const tokenizer::ChatTemplate& ChatFormat::template_for(const Json& tools, const std::string& where) const {
  if (tool_template_ && !tools.is_null()) return *tool_template_;
  if (!template_)
    throw DataError(where, "has no tools, and the tokenizer has a chat template for conversations with tools only",
                    "dataset.chat_template takes a file or the template itself");
  return *template_;
}

bool ChatFormat::marks_generation() const {
  return (!template_ || template_->marks_generation()) && (!tool_template_ || tool_template_->marks_generation());
}

std::vector<std::string> ChatFormat::notes() const {
  std::vector<std::string> notes;
  if (!marks_generation())
    notes.emplace_back(
        "the chat template has no {% generation %} marks: the assistant's turns are found by rendering the messages "
        "before them, and their headers are trained too");
  if (completed_turns_)
    notes.emplace_back(
        "the chat template's {% generation %} marks leave out the token that ends the assistant's turn: it is trained "
        "all the same, so that the model learns to stop");
  for (auto& note : left_out_.notes()) notes.push_back(std::move(note));
  return notes;
}

/// `whole`: with the generation prompt if there is to be one; the beginnings of a conversation have none.
Json ChatFormat::variables_of(const Chat& chat, const Json& messages, bool whole) const {
  Json variables = template_variables(*tokenizer_, messages, chat.tools, false);
  for (const auto& [name, value] : chat.variables.items())
    if (whole || name != "add_generation_prompt") variables[name] = value;
  return variables;
}

tokenizer::Rendered ChatFormat::render(const Chat& chat, const Json& messages, bool whole) const {
  const auto& source = template_for(chat.tools, chat.where);
  try {
    return source.render(variables_of(chat, messages, whole));
  } catch (const DataError& error) {
    throw DataError(chat.where, fmt::format("the chat template rejects this conversation: {}", error.what()));
  }
}

/// Bytes of the whole rendering that the first messages take.
size_t ChatFormat::prefix_end(const Chat& chat, size_t messages) const {
  const std::string& whole = chat.rendered.text;
  if (messages == chat.messages.size() && !chat.variables.contains("add_generation_prompt")) return whole.size();
  const Json first(chat.messages.begin(), chat.messages.begin() + static_cast<long>(messages));
  const std::string prefix = render(chat, first, false).text;
  if (whole.starts_with(prefix)) return prefix.size();
  const std::string& eos = tokenizer_->eos_token;
  if (!eos.empty() && prefix.ends_with(eos) &&
      whole.starts_with(std::string_view(prefix).substr(0, prefix.size() - eos.size()))) {
    for (const auto& [begin, end] : chat.encoding.offsets)
      if (begin >= prefix.size() - eos.size() && end > begin) return end;
  }
  throw DataError(chat.where,
                  fmt::format("which tokens are the assistant's cannot be told: the first {} messages, rendered alone, "
                              "are no prefix of the whole conversation (the template rewrites earlier turns)",
                              messages),
                  "use a chat template that marks the assistant's text by {% generation %} ... {% endgeneration %}, or "
                  "train the last turn only (dataset.train_on: last_turn)");
}

ChatFormat::Spans ChatFormat::assistant_spans(const Chat& chat) const {
  Spans spans;
  bool any = false;
  for (size_t i = chat.messages.size(); i-- > 0;) {
    if (chat.messages[i]["role"] != "assistant") continue;
    any = true;
    if (!chat.wanted[i]) continue;
    spans.emplace_back(prefix_end(chat, i), prefix_end(chat, i + 1));
    if (options_.train_on == TrainOn::LastTurn) break;
  }
  if (!any) throw DataError(chat.where, "the conversation has no assistant message, so nothing to train on");
  return spans;
}

/// The spans between generation marks of the wanted messages.
ChatFormat::Spans ChatFormat::marked_spans(const Chat& chat) const {
  const auto& all = chat.rendered.generation;
  if (std::find(chat.wanted.begin(), chat.wanted.end(), false) == chat.wanted.end()) return all;
  Spans spans;
  size_t seen = 0;
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    if (chat.messages[i]["role"] != "assistant") continue;
    const Json first(chat.messages.begin(), chat.messages.begin() + static_cast<long>(i) + 1);
    const size_t marks = i + 1 == chat.messages.size() ? all.size() : render(chat, first, false).generation.size();
    if (marks < seen || marks > all.size())
      throw DataError(chat.where,
                      fmt::format("which of the template's generation marks belong to message {} cannot be told", i),
                      "train all turns, or the last turn");
    if (chat.wanted[i])
      spans.insert(spans.end(), all.begin() + static_cast<long>(seen), all.begin() + static_cast<long>(marks));
    seen = marks;
  }
  if (seen != all.size())
    throw DataError(chat.where, "the template marks text that belongs to no assistant message as generated",
                    "train all turns, or the last turn");
  return spans;
}

/// Which messages are trained, by their field; takes the field and the history's reasoning out of them.
std::vector<bool> ChatFormat::prepare(Json& messages, const std::string& where) const {
  std::vector<bool> wanted(messages.size(), true);
  size_t last = messages.size();
  while (last > 0 && messages[last - 1]["role"] != "assistant") --last;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i]["role"] == "assistant" && options_.drop_history_reasoning && i + 1 != last)
      messages[i].erase("reasoning_content");
    if (options_.train_on != TrainOn::ByField || !messages[i].contains(options_.train_field)) continue;
    const Json flag = messages[i][options_.train_field];
    messages[i].erase(options_.train_field);
    if (!flag.is_boolean() && !flag.is_number() && !flag.is_null())
      throw DataError(where, fmt::format("message {}: '{}' should be true, false or a number, got {}", i,
                                         options_.train_field, flag.type_name()));
    wanted[i] = flag.is_null() || (flag.is_boolean() ? flag.get<bool>() : flag.get<double>() != 0);
  }
  return wanted;
}

/// The index of the first token at or behind a byte that is special, if only blanks stand between.
static std::optional<size_t> special_behind(const tokenizer::Tokenizer& tokenizer, const std::string& text,
                                            const Encoding& encoding, size_t byte) {
  const size_t from = text.find_first_not_of(" \t\r\n", byte);
  if (from == std::string::npos) return std::nullopt;
  for (size_t t = 0; t < encoding.ids.size(); ++t) {
    const auto& [begin, end] = encoding.offsets[t];
    if (end <= from || begin == end) continue;
    // The token of an earlier blank may be part of a special token that strips what is before it.
    return begin >= byte && tokenizer.is_special(encoding.ids[t]) ? std::optional(t) : std::nullopt;
  }
  return std::nullopt;
}

/// The special token behind the last generation mark where the conversation ends with an assistant message.
std::optional<int32_t> ChatFormat::end_of_turn(const Chat& chat) const {
  size_t last = chat.messages.size();
  while (last > 0 && chat.messages[last - 1]["role"] != "assistant") --last;
  if (last == 0) return std::nullopt;
  const auto look = [&](const tokenizer::Rendered& rendered, const Encoding& encoding) -> std::optional<int32_t> {
    if (rendered.generation.empty()) return std::nullopt;
    const auto at = special_behind(*tokenizer_, rendered.text, encoding, rendered.generation.back().second);
    return at ? std::optional(encoding.ids[*at]) : std::nullopt;
  };
  if (last == chat.messages.size()) return look(chat.rendered, chat.encoding);
  const Json first(chat.messages.begin(), chat.messages.begin() + static_cast<long>(last));
  const auto rendered = render(chat, first, false);
  return look(rendered, tokenizer_->encode_with_offsets(rendered.text, false));
}

void ChatFormat::train_ends_of_turns(const Chat& chat, const Spans& spans, std::vector<bool>& trained) const {
  std::optional<int32_t> closing;
  bool looked = false;
  for (const auto& [begin, end] : spans) {
    const auto at = special_behind(*tokenizer_, chat.rendered.text, chat.encoding, end);
    if (!at || trained[*at]) continue;
    if (!looked) closing = end_of_turn(chat);
    looked = true;
    if (chat.encoding.ids[*at] != closing) continue;
    for (size_t t = *at + 1; t-- > 0 && chat.encoding.offsets[t].second > end;) trained[t] = true;
    completed_turns_ = true;
  }
}

static void keep_last_run(std::vector<bool>& trained) {
  size_t t = trained.size();
  while (t > 0 && !trained[t - 1]) --t;
  while (t > 0 && trained[t - 1]) --t;
  std::fill(trained.begin(), trained.begin() + static_cast<long>(t), false);
}

/// Finds each message's reasoning as what disappears from the rendering when the field is emptied.
void ChatFormat::unmark_reasoning(const Chat& chat, std::vector<bool>& trained) const {
  const std::string& whole = chat.rendered.text;
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    if (chat.messages[i]["role"] != "assistant" || chat.messages[i].value("reasoning_content", "").empty()) continue;
    Json emptied = chat.messages;
    emptied[i]["reasoning_content"] = "";
    const std::string without = render(chat, emptied, true).text;
    const size_t shorter = std::min(whole.size(), without.size());
    size_t begin = 0, tail = 0;
    while (begin < shorter && whole[begin] == without[begin]) ++begin;
    while (tail < shorter - begin && whole[whole.size() - 1 - tail] == without[without.size() - 1 - tail]) ++tail;
    if (begin + tail >= whole.size()) continue;  // the template does not show it
    const auto inside = tokens_in_spans(chat.encoding, {{begin, whole.size() - tail}});
    for (size_t t = 0; t < trained.size(); ++t) trained[t] = trained[t] && !inside[t];
  }
}

static long system_place(const Json& messages) {
  return std::find_if(messages.begin(), messages.end(), [](const Json& m) { return m["role"] == "system"; }) -
         messages.begin();
}

ChatFormat::Tokens ChatFormat::tokenize(const Json& messages, const Json& tools, const std::string& where,
                                        const Json& variables) const {
  Chat chat{messages, tools, where, variables, {}, {}, {}};
  chat.wanted = prepare(chat.messages, where);
  try {
    chat.rendered = render(chat, chat.messages, true);
  } catch (const DataError& error) {  // NeMo AutoModel's rule, word for word: templates raise it in these words
    if (std::string_view(error.what()).find("System role not supported") == std::string_view::npos) throw;
    chat.messages = fold_system_message(chat.messages);
    if (chat.messages.size() < chat.wanted.size())  // the system message, the first that is no turn, is gone
      chat.wanted.erase(chat.wanted.begin() + system_place(messages));
    chat.rendered = render(chat, chat.messages, true);
  }
  left_out_.look(template_for(tools, where), chat.messages, tools, chat.rendered.text, where,
                 [&] { return variables_of(chat, chat.messages, true); });
  chat.encoding = tokenizer_->encode_with_offsets(chat.rendered.text, false);
  Tokens tokens;
  if (template_for(tools, where).marks_generation()) {
    if (chat.rendered.generation_misplaced)
      throw DataError(
          where,
          "the chat template has its {% generation %} marks inside a macro, {% set %} or filter block, so which "
          "tokens are the assistant's cannot be told",
          "mark the text where it is written out");
    const Spans spans = marked_spans(chat);
    tokens.trained = tokens_in_spans(chat.encoding, spans);
    train_ends_of_turns(chat, spans, tokens.trained);
    if (options_.train_on == TrainOn::LastTurn) keep_last_run(tokens.trained);
  } else if (options_.train_on == TrainOn::Everything) {
    tokens.trained.assign(chat.encoding.ids.size(), true);
  } else {
    tokens.trained = tokens_in_spans(chat.encoding, assistant_spans(chat));
  }
  if (options_.mask_reasoning_content) unmark_reasoning(chat, tokens.trained);
  tokens.ids = std::move(chat.encoding.ids);
  tokens.offsets = std::move(chat.encoding.offsets);
  tokens.text = std::move(chat.rendered.text);
  return tokens;
}

}  // namespace automodel::data
