#include "automodel/tokenizer/continued_chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer {

static constexpr std::string_view kTag = "CONTINUE_FINAL_MESSAGE_TAG";  // followed by one blank
static constexpr const char* kWhere = "continue_final_message";

// Python's bool(value).
static bool is_true(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  return value.is_string() ? !value.get_ref<const std::string&>().empty() : !value.empty();
}

// The text to go on with, inside the last message.
static std::string& open_text(Json& variables, const std::string& field) {
  const auto messages = variables.find("messages");
  if (messages == variables.end() || !messages->is_array() || messages->empty())
    throw DataError(kWhere, "the conversation is empty, so there is no last message to continue");
  Json& last = messages->back();
  if (!last.is_object())
    throw DataError(kWhere, fmt::format("a message should be an object, got {}", last.type_name()));
  const auto found = last.find(field);
  if (found == last.end() || found->is_null())
    throw DataError(kWhere, fmt::format("the last message has no '{}' to continue", field));
  if (found->is_string()) return found->get_ref<std::string&>();
  if (!found->is_array())
    throw DataError(kWhere, fmt::format("'{}' of the last message should be text, got {}", field, found->type_name()));
  for (size_t i = found->size(); i-- > 0;) {
    Json& part = (*found)[i];
    if (!part.is_object())
      throw DataError(kWhere, fmt::format("a content part is no object, but {}", part.type_name()));
    if (!part.contains("text")) continue;
    if (!part["text"].is_string())
      throw DataError(kWhere, fmt::format("the text of a content part is {}", part["text"].type_name()));
    return part["text"].get_ref<std::string&>();
  }
  throw DataError(kWhere, "the last message has no text among its parts to continue");
}

Rendered render_continued(const ChatTemplate& chat_template, Json variables, const std::string& field,
                          const RenderOptions& options) {
  if (is_true(variables.value("add_generation_prompt", Json(false))))
    throw DataError(kWhere, "excludes add_generation_prompt",
                    "the one goes on with the last message, the other begins a new one");
  std::string& text = open_text(variables, field);
  if (chat_template.source().find(field) == std::string::npos)
    throw DataError(kWhere, fmt::format("the chat template does not know '{}' of a message", field));
  const std::string message(jinja::strip(text, true, true));
  text += fmt::format("{} ", kTag);
  Rendered rendered = chat_template.render(variables, options);
  std::string& out = rendered.text;
  const size_t at = out.rfind(kTag);
  if (at == std::string::npos || out.find(message) == std::string::npos)
    throw DataError(kWhere, "the last message does not appear as it is in what the chat template renders",
                    "the template leaves it out, or a part of it: such a message cannot be continued");
  const bool blank_kept = out.compare(at + kTag.size(), 1, " ") == 0;
  out.resize(at);
  if (!blank_kept) out.resize(jinja::strip(out, false, true).size());
  auto& spans = rendered.generation;
  std::erase_if(spans, [&](const auto& span) { return span.first >= out.size(); });
  for (auto& [begin, end] : spans) end = std::min(end, out.size());
  return rendered;
}

}  // namespace automodel::tokenizer
