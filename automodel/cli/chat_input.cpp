#include "automodel/cli/chat_input.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/data/chat_format.h"
#include "automodel/data/left_out_watch.h"
#include "automodel/data/messages.h"
#include "automodel/tokenizer/continued_chat.h"

namespace automodel::cli {

Json chat_variables(const Json& chat, const std::string& where) {
  if (chat.is_array()) return {{"messages", chat}};
  if (!chat.is_object()) throw DataError(where, "expected a list of messages or an object of template variables");
  return chat;
}

void check_messages(const Json& messages, const std::string& where) {
  if (!messages.is_array())
    throw DataError(where, fmt::format("messages should be a list, got {}", messages.type_name()));
  if (messages.empty()) throw DataError(where, "the conversation is empty");
  for (size_t i = 0; i < messages.size(); ++i)
    if (!messages[i].is_object())
      throw DataError(where, fmt::format("messages[{}] should be an object, got {}", i, messages[i].type_name()),
                      R"(a message is {"role": "user", "content": "..."})");
}

std::string take_continued_field(Json& variables, const std::string& where) {
  const Json given = variables.value("continue_final_message", Json());
  variables.erase("continue_final_message");
  if (given.is_string()) return given.get<std::string>();
  if (!given.is_null() && !given.is_boolean())
    throw DataError(where, fmt::format("continue_final_message should be true, false or the name of a field, got {}",
                                       given.type_name()));
  return given == true ? "content" : "";
}

bool has_tools(const Json& variables) { return variables.contains("tools") && !variables.at("tools").is_null(); }

Json with_defaults(Json variables, const tokenizer::Tokenizer& tokenizer, const Json& tools,
                   bool add_generation_prompt) {
  const auto defaults =
      data::template_variables(tokenizer, variables.value("messages", Json::array()), tools, add_generation_prompt);
  for (const auto& [key, value] : defaults.items())
    if (!variables.contains(key)) variables[key] = value;
  return variables;
}

tokenizer::ChatTemplate own_template(const tokenizer::Tokenizer& tokenizer, bool with_tools, const std::string& where,
                                     const std::string& remedy) {
  const std::string& source = tokenizer.template_for(with_tools);
  if (source.empty())
    throw DataError(where, "has no tools, and the model has a chat template for conversations with tools only", remedy);
  return tokenizer::ChatTemplate::parse(
      source, with_tools && &source != &tokenizer.chat_template ? "chat template tool_use" : "chat template");
}

tokenizer::Rendered render_chat(const tokenizer::ChatTemplate& source, const Json& variables, const std::string& field,
                                const std::string& where) {
  try {
    return field.empty() ? source.render(variables) : tokenizer::render_continued(source, variables, field);
  } catch (const DataError& error) {
    throw DataError(where, fmt::format("the chat template rejects this conversation: {}", error.what()));
  }
}

void warn_of_roles(const tokenizer::ChatTemplate& source, const Json& messages, const std::string& where,
                   std::set<std::string>& told) {
  static const std::vector<std::string> kRoles = {"system", "developer", "user", "assistant", "tool"};
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto found = messages[i].find("role");
    if (found == messages[i].end() || !found->is_string()) {
      if (told.insert("no role").second) log_warning(fmt::format("{}: messages[{}] has no role", where, i));
      continue;
    }
    const auto& role = found->get_ref<const std::string&>();
    const auto quoted = [&](char mark) { return source.source().find(mark + role + mark) != std::string::npos; };
    const bool known = std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end() || quoted('\'') || quoted('"');
    if (known || !told.insert("role " + role).second) continue;
    const auto near = nearest(role, kRoles);
    log_warning(fmt::format("{}: messages[{}] has the role '{}', which the chat template does not name{}", where, i,
                            role, near.empty() ? "" : fmt::format("; did you mean {}?", near)));
  }
}

std::string render_prompt(const tokenizer::Tokenizer& tokenizer, const Json& chat, const std::string& field,
                          const std::string& where) {
  const data::Row row{chat_variables(chat, where), where, 0};
  Json variables = row.value;
  const std::string own_field = take_continued_field(variables, where);
  const std::string& continued = field.empty() ? own_field : field;
  variables["messages"] = data::messages_of(row);
  variables["tools"] = data::tools_of(row);
  variables = with_defaults(std::move(variables), tokenizer, {}, continued.empty());
  const auto source = own_template(tokenizer, has_tools(variables), where, "use --prompt TEXT");
  if (continued.empty() && variables["messages"].back()["role"] == "assistant")
    log_warning(where +
                ": the last message is the assistant's, and a new one is asked for; --continue-final-message "
                "goes on with it");
  const std::string text = render_chat(source, variables, continued, where).text;
  data::LeftOutWatch left_out;
  left_out.look(source, variables["messages"], variables["tools"], text, where, [&] { return variables; });
  for (const auto& note : left_out.notes()) log_warning(note);
  return text;
}

}  // namespace automodel::cli
