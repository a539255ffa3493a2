// A conversation as `render` and `generate --chat` are given it: which template it takes, and its variables.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "automodel/tokenizer/chat_template.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::cli {

/// A list of messages as {"messages": [...]}, an object as it is. Throws DataError (`where`: its file) for anything
/// else.
Json chat_variables(const Json& chat, const std::string& where);

/// Throws DataError (`where`) unless `messages` is a list of objects that is not empty, as transformers' does.
void check_messages(const Json& messages, const std::string& where);

/// Takes continue_final_message out of the variables: the field of the last message that is to be left open, "content"
/// for true, "" for none. Throws DataError (`where`).
std::string take_continued_field(Json& variables, const std::string& where);

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

/// What the template renders; with the text of `field` in the last message left open where it is not "". Throws
/// DataError (`where`) for a conversation that the template rejects.
tokenizer::Rendered render_chat(const tokenizer::ChatTemplate& source, const Json& variables, const std::string& field,
                                const std::string& where);

/// Warns of messages without a role, or with one that is neither usual nor a string of the template's source. `told`:
/// what earlier conversations were warned of, which is not said again.
void warn_of_roles(const tokenizer::ChatTemplate& source, const Json& messages, const std::string& where,
                   std::set<std::string>& told);

/// The text that asks the model for its answer. `chat`: messages, or an object with "messages" (or "conversations") and
/// further variables of the template (tools, enable_thinking). `field`: as above; the chat's own continue_final_message
/// counts where it is "". Throws DataError (`where`) for messages that are none and for a conversation that the
/// template rejects.
std::string render_prompt(const tokenizer::Tokenizer& tokenizer, const Json& chat, const std::string& field,
                          const std::string& where);

}  // namespace automodel::cli
