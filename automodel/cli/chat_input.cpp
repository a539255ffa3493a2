#include "automodel/cli/chat_input.h"

#include "automodel/base/error.h"
#include "automodel/data/chat_format.h"
#include "automodel/data/messages.h"

namespace automodel::cli {

Json chat_variables(const Json& chat, const std::string& where) {
  if (chat.is_array()) return {{"messages", chat}};
  if (!chat.is_object()) throw DataError(where, "expected a list of messages or an object of template variables");
  return chat;
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

std::string render_prompt(const tokenizer::Tokenizer& tokenizer, const Json& chat, const std::string& where) {
  const data::Row row{chat_variables(chat, where), where, 0};
  Json variables = row.value;
  variables["messages"] = data::messages_of(row);
  variables["tools"] = data::tools_of(row);
  variables = with_defaults(std::move(variables), tokenizer, {}, true);
  const auto source = own_template(tokenizer, has_tools(variables), where, "use --prompt TEXT");
  try {
    return source.render(variables).text;
  } catch (const DataError& error) {
    throw DataError(where, fmt::format("the chat template rejects this conversation: {}", error.what()));
  }
}

}  // namespace automodel::cli
