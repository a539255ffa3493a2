// A conversation as `render` and `generate --chat` are given it: which template it takes, and its variables.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "automodel/tokenizer/chat_template.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::cli {

/// A list of messages as {"messages": [...]}, an object as it is. Throws DataError (`where`: its file) for anything
/// else.
Json chat_variables(const Json& chat, const std::string& where);

/// Whether a conversation with these variables has tools.
bool has_tools(const Json& variables);

/// `variables`, and of data::template_variables those that it lacks.
Json with_defaults(Json variables, const tokenizer::Tokenizer& tokenizer, const Json& tools,
                   bool add_generation_prompt);

/// The tokenizer's template for a conversation, as transformers' get_chat_template: with tools the one named tool_use
/// where there is one. Throws DataError (`where`: the conversation's file) when there is one for tools only, with
/// `remedy`; not when there is none at all.
tokenizer::ChatTemplate own_template(const tokenizer::Tokenizer& tokenizer, bool with_tools, const std::string& where,
                                     const std::string& remedy);

/// The text that asks the model for its answer. `chat`: messages, or an object with "messages" (or "conversations") and
/// further variables of the template (tools, enable_thinking). Throws DataError (`where`) for messages that are none
/// and for a conversation that the template rejects.
std::string render_prompt(const tokenizer::Tokenizer& tokenizer, const Json& chat, const std::string& where);

}  // namespace automodel::cli
