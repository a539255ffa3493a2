// Messages: the conversation of a row in OpenAI's form, as chat templates take it.
#pragma once

#include "automodel/data/rows.h"

namespace automodel::data {

/// The row's "messages" (a list of {role, content, ...}), or its ShareGPT "conversations" (a list of {from, value})
/// converted: human and user become user; gpt, chatgpt, bot, model and assistant become assistant; system stays. A null
/// or missing content becomes "", a list of text parts their texts joined by a space; tool calls and every other field
/// are kept as they are. Throws DataError (row.where) for an empty conversation, an unknown role, a tool call without
/// function name or arguments, a tool answer without tool_call_id, or a content part that is no text.
Json messages_of(const Row& row);

/// Throws DataError (`where`) unless `tools` is a list of tools: {"type": "function", "function": {"name",
/// ...}}, {"name", ...}, or an object of another type.
void check_tools(const Json& tools, const std::string& where);

/// The row's "tools": a list, or a text that holds one as JSON; null where there are none: the list or the text is
/// empty, or either is null (for a text Python's json.loads gives None, which transformers takes as no tools). Throws
/// DataError (row.where) as check_tools does.
Json tools_of(const Row& row);

/// The messages with the system message put before the text of the first user message, "system\nuser", for templates
/// that know no system role.
Json fold_system_message(const Json& messages);

}  // namespace automodel::data
