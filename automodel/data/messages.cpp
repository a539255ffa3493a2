#include "automodel/data/messages.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"

namespace automodel::data {

static std::string content_text(const Json& content, const std::string& where) {
  if (content.is_null()) return "";
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return content.dump();
  std::string text;
  for (const auto& part : content) {
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string())
      throw DataError(where, "a content part is no text", "images and audio need a recipe for vision-language models");
    if (&part != &content.front()) text += ' ';
    text += part["text"].get<std::string>();
  }
  return text;
}

static void check_tool_calls(const Json& calls, const std::string& where) {
  if (calls.is_null()) return;
  if (!calls.is_array()) throw DataError(where, fmt::format("tool_calls should be a list, got {}", calls.type_name()));
  for (const auto& call : calls) {
    const Json* function = call.is_object() && call.contains("function") ? &call["function"] : nullptr;
    if (!function || !function->is_object()) throw DataError(where, "a tool call has no function object");
    if (!function->contains("name") || !(*function)["name"].is_string() ||
        (*function)["name"].get_ref<const std::string&>().empty())
      throw DataError(where, "a tool call's function has no name");
    if (!function->contains("arguments") || (*function)["arguments"].is_null())
      throw DataError(where,
                      fmt::format("the call of tool '{}' has no arguments", (*function)["name"].get<std::string>()),
                      "write \"arguments\": {} for a call without any");
  }
}

// For an error: 'robot', 5, nothing.
static std::string shown_role(const Json* role) {
  if (!role) return "nothing";
  return role->is_string() ? "'" + role->get<std::string>() + "'"
                           : role->dump(-1, ' ', false, Json::error_handler_t::replace);
}

static std::string sharegpt_role(const Json& turn, const std::string& where) {
  const auto found = turn.find("from") != turn.end() ? turn.find("from") : turn.find("role");
  const std::string role = found != turn.end() && found->is_string() ? found->get<std::string>() : "";
  if (role == "system") return role;
  if (role == "human" || role == "user") return "user";
  for (const auto* name : {"gpt", "assistant", "chatgpt", "model", "bot"})
    if (role == name) return "assistant";
  throw DataError(where,
                  fmt::format("{} is no role of a conversation", shown_role(found != turn.end() ? &*found : nullptr)),
                  "known: system, human, user, gpt, assistant, chatgpt, model, bot");
}

static Json convert_conversation(const Json& turns, const std::string& where) {
  if (!turns.is_array())
    throw DataError(where, fmt::format("conversations should be a list, got {}", turns.type_name()));
  Json messages = Json::array();
  for (const auto& turn : turns) {
    if (!turn.is_object()) throw DataError(where, fmt::format("a turn should be an object, got {}", turn.type_name()));
    const auto value = turn.find("value") != turn.end() ? turn.find("value") : turn.find("content");
    messages.push_back({{"role", sharegpt_role(turn, where)}, {"content", value == turn.end() ? Json("") : *value}});
  }
  return messages;
}

Json messages_of(const Row& row) {
  Json messages;
  if (const auto found = row.value.find("messages"); found != row.value.end() && !found->is_null()) {
    messages = *found;
  } else if (const auto turns = row.value.find("conversations"); turns != row.value.end()) {
    messages = convert_conversation(*turns, row.where);
  }
  if (!messages.is_array())
    throw DataError(row.where, "expected a list 'messages' of {role, content}, or 'conversations' of {from, value}",
                    "rows of question and answer columns are read by ColumnMappedTextInstructionDataset");
  if (messages.empty()) throw DataError(row.where, "the conversation is empty");
  for (auto& message : messages) {
    if (!message.is_object())
      throw DataError(row.where, fmt::format("a message should be an object, got {}", message.type_name()));
    const std::string role =
        message.contains("role") && message["role"].is_string() ? message["role"].get<std::string>() : "";
    static const std::vector<std::string> roles = {"system", "user", "assistant", "tool", "developer"};
    if (std::find(roles.begin(), roles.end(), role) == roles.end())
      throw DataError(
          row.where,
          fmt::format("{} is no role of a message", shown_role(message.contains("role") ? &message["role"] : nullptr)),
          "known: system, developer, user, assistant, tool");
    message["content"] = content_text(message.contains("content") ? message["content"] : Json(), row.where);
    if (role == "assistant") {
      if (message.contains("tool_calls")) check_tool_calls(message["tool_calls"], row.where);
      if (message.contains("reasoning_content")) {
        if (message["reasoning_content"].is_null()) message["reasoning_content"] = "";
        if (!message["reasoning_content"].is_string()) throw DataError(row.where, "reasoning_content should be a text");
      }
    }
    if (role == "tool") {
      const auto id = message.find("tool_call_id");
      if (id == message.end() || !id->is_string() || id->get_ref<const std::string&>().empty())
        throw DataError(row.where, "a tool message needs the tool_call_id that it answers");
    }
  }
  return messages;
}

// For an error: nothing where it is a tool.
static std::string fault_of_tool(const Json& tool) {
  if (!tool.is_object()) return fmt::format("should be an object, got {}", tool.type_name());
  const auto has_name = [](const Json& object) {
    const auto name = object.find("name");
    return name != object.end() && name->is_string() && !name->get_ref<const std::string&>().empty();
  };
  if (const auto function = tool.find("function"); function != tool.end()) {
    if (!function->is_object()) return fmt::format("has a function that is no object, but {}", function->type_name());
    return has_name(*function) ? "" : "has a function without a name";
  }
  const auto type = tool.find("type");
  const bool other = type != tool.end() && type->is_string() && *type != "function";
  return other || has_name(tool) ? "" : "has no function and no name";
}

void check_tools(const Json& tools, const std::string& where) {
  constexpr char kHint[] =
      R"(expected [{"type": "function", "function": {"name": "...", "description": "...", "parameters": {...}}}])";
  if (!tools.is_array())
    throw DataError(where, fmt::format("tools should be a list, got {}", tools.type_name()), kHint);
  for (size_t i = 0; i < tools.size(); ++i)
    if (const auto fault = fault_of_tool(tools[i]); !fault.empty())
      throw DataError(where, fmt::format("tools[{}] {}", i, fault), kHint);
}

Json tools_of(const Row& row) {
  const auto found = row.value.find("tools");
  if (found == row.value.end() || found->is_null()) return nullptr;
  if (*found == "") return nullptr;
  const Json tools =
      found->is_string() ? parse_json(found->get_ref<const std::string&>(), row.where + ": tools") : *found;
  if (tools.is_null()) return nullptr;
  check_tools(tools, row.where);
  return tools.empty() ? Json() : tools;
}

Json fold_system_message(const Json& messages) {
  const auto system =
      std::find_if(messages.begin(), messages.end(), [](const Json& m) { return m["role"] == "system"; });
  if (system == messages.end()) return messages;
  Json folded = Json::array();
  bool done = false;
  for (const auto& message : messages) {
    if (&message == &*system) continue;
    folded.push_back(message);
    if (done || message["role"] != "user") continue;
    folded.back()["content"] = (*system)["content"].get<std::string>() + "\n" + message["content"].get<std::string>();
    done = true;
  }
  if (!done) folded.insert(folded.begin(), {{"role", "user"}, {"content", (*system)["content"]}});
  return folded;
}

}  // namespace automodel::data
