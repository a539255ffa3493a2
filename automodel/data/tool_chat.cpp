#include "automodel/data/tool_chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/data/messages.h"

namespace automodel::data {

static void write_python_json(const Json& value, std::string& out) {
  if (value.is_array()) {
    out += '[';
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out += ", ";
      write_python_json(value[i], out);
    }
    out += ']';
  } else if (value.is_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : value.items()) {
      out += (first ? "" : ", ") + Json(key).dump() + ": ";
      write_python_json(item, out);
      first = false;
    }
    out += '}';
  } else {
    out += value.dump();
  }
}

std::string python_json(const Json& value) {
  std::string out;
  write_python_json(value, out);
  return out;
}

namespace {

/// The list in a column, or in the JSON text that it holds.
Json list_column(const Row& row, const char* column) {
  const auto found = row.value.find(column);
  if (found == row.value.end() || found->is_null())
    throw DataError(row.where, fmt::format("has no column '{}'", column));
  Json list = found->is_string()
                  ? parse_json(found->get_ref<const std::string&>(), fmt::format("{}: {}", row.where, column))
                  : *found;
  if (!list.is_array())
    throw DataError(row.where, fmt::format("column '{}' should hold a list, got {}", column, list.type_name()));
  return list;
}

std::string name_of(const Json& item, const std::string& where, const char* what) {
  if (!item.is_object() || !item.contains("name") || !item["name"].is_string() ||
      item["name"].get_ref<const std::string&>().empty())
    throw DataError(where, fmt::format("{} has no name", what));
  return item["name"].get<std::string>();
}

Json xlam_property(const Json& definition) {
  static const std::map<std::string, std::string> types = {
      {"str", "string"},      {"string", "string"}, {"int", "integer"},   {"integer", "integer"},
      {"float", "number"},    {"double", "number"}, {"number", "number"}, {"bool", "boolean"},
      {"boolean", "boolean"}, {"list", "array"},    {"array", "array"},   {"object", "object"}};
  std::string type =
      definition.contains("type") && definition["type"].is_string() ? definition["type"].get<std::string>() : "string";
  for (char& c : type) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto known = types.find(type);
  Json property = {{"type", known == types.end() ? "string" : known->second},
                   {"description", definition.contains("description") ? definition["description"] : Json("")}};
  for (const auto* key : {"enum", "default"})
    if (definition.contains(key)) property[key] = definition[key];
  return property;
}

std::string sharegpt_role(const std::string& from, const std::string& where) {
  static const std::map<std::string, std::string> roles = {{"system", "system"},
                                                           {"human", "user"},
                                                           {"user", "user"},
                                                           {"gpt", "assistant"},
                                                           {"assistant", "assistant"},
                                                           {"function_call", "tool_call"},
                                                           {"tool_call", "tool_call"},
                                                           {"observation", "tool_response"},
                                                           {"tool_response", "tool_response"},
                                                           {"tool", "tool_response"}};
  const auto found = roles.find(from);
  if (found == roles.end())
    throw DataError(
        where, fmt::format("'{}' is no role of a conversation with tools", from),
        "known: system, human, user, gpt, assistant, function_call, tool_call, observation, tool_response, tool");
  return found->second;
}

std::string text_field(const Json& turn, const char* key) {
  const auto found = turn.find(key);
  return found != turn.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string text_or_json(const Json& turn, const char* key) {
  const auto found = turn.find(key);
  if (found == turn.end()) return "";
  return found->is_string() ? found->get<std::string>() : python_json(*found);
}

Json agent_turns(const Row& row) {
  const auto messages = row.value.find("messages"), turns = row.value.find("conversations");
  const bool native = messages != row.value.end() && !messages->is_null();
  if (!native && (turns == row.value.end() || turns->is_null()))
    throw DataError(row.where, "expected a list 'messages' or 'conversations'");
  const Json& list = native ? *messages : *turns;
  if (!list.is_array() || list.empty()) throw DataError(row.where, "the conversation is empty or no list");
  Json result = Json::array();
  for (const auto& turn : list) {
    if (!turn.is_object())
      throw DataError(row.where, fmt::format("a turn should be an object, got {}", turn.type_name()));
    if (native) {
      result.push_back(turn);
      continue;
    }
    Json converted = {{"role", sharegpt_role(text_field(turn, "from"), row.where)},
                      {"content", turn.contains("value") ? turn["value"] : Json("")}};
    if (turn.contains("reasoning_content")) converted["reasoning_content"] = turn["reasoning_content"];
    result.push_back(std::move(converted));
  }
  return result;
}

/// Turns to OpenAI messages, one kind of turn after another.
class AgentMessages {
 public:
  AgentMessages(const Json& turns, const Row& row) : turns_(turns), row_(row), prefix_("call") {
    const auto id = row.value.find("id");
    if (id != row.value.end() && !id->is_null())
      prefix_ += "_" + (id->is_string() ? id->get<std::string>() : id->dump());
  }

  Json take() {
    while (at_ < turns_.size()) {
      const std::string role = role_at(at_);
      if (role == "tool_call") {
        take_calls();
      } else if (is_answer(role)) {
        take_answers();
      } else if (role == "system" || role == "user" || role == "assistant" || role == "developer") {
        take_message(role);
      } else {
        throw DataError(row_.where, fmt::format("'{}' is no role of a message", role),
                        "known: system, user, assistant, tool_call, tool_response, tool");
      }
    }
    return std::move(out_);
  }

 private:
  static bool is_answer(const std::string& role) { return role == "tool_response" || role == "tool"; }
  std::string role_at(size_t i) const { return text_field(turns_[i], "role"); }
  std::string new_id() { return fmt::format("{}_{}", prefix_, calls_++); }

  void take_calls() {
    Json calls = Json::array();
    pending_.clear();
    for (; at_ < turns_.size() && role_at(at_) == "tool_call"; ++at_) {
      const auto content = turns_[at_].find("content");
      const Json call = content == turns_[at_].end() || content->is_null() ? Json::object()
                        : content->is_string()
                            ? parse_json(content->get_ref<const std::string&>(), row_.where + ": tool call")
                            : *content;
      const std::string name = name_of(call, row_.where, "a tool call");
      pending_.push_back(new_id());
      calls.push_back({{"id", pending_.back()},
                       {"type", "function"},
                       {"function", {{"name", name}, {"arguments", text_or_json(call, "arguments")}}}});
    }
    if (!out_.empty() && out_.back()["role"] == "assistant" && !out_.back().contains("tool_calls"))
      out_.back()["tool_calls"] = std::move(calls);
    else
      out_.push_back({{"role", "assistant"}, {"content", ""}, {"tool_calls", std::move(calls)}});
  }

  void take_answers() {
    for (size_t place = 0; at_ < turns_.size() && is_answer(role_at(at_)); ++at_, ++place) {
      std::string id = text_field(turns_[at_], "tool_call_id");
      if (id.empty())
        id = place < pending_.size() ? pending_[place] : fmt::format("{}_response_{}_{}", prefix_, calls_, place);
      Json message = {{"role", "tool"}, {"content", text_or_json(turns_[at_], "content")}, {"tool_call_id", id}};
      if (const std::string name = text_field(turns_[at_], "name"); !name.empty()) message["name"] = name;
      out_.push_back(std::move(message));
    }
  }

  void take_message(const std::string& role) {
    const Json& turn = turns_[at_++];
    pending_.clear();
    const auto content = turn.find("content");
    if (content != turn.end() && !content->is_string() && !content->is_null())
      throw DataError(row_.where, fmt::format("a message's content should be a text, got {}", content->type_name()));
    Json message = {{"role", role}, {"content", text_field(turn, "content")}};
    if (role == "assistant") {
      if (const std::string reasoning = text_field(turn, "reasoning_content"); !reasoning.empty())
        message["reasoning_content"] = reasoning;
      if (const auto calls = turn.find("tool_calls"); calls != turn.end() && !calls->is_null())
        message["tool_calls"] = own_calls(*calls);
    }
    out_.push_back(std::move(message));
  }

  Json own_calls(const Json& calls) {
    if (!calls.is_array())
      throw DataError(row_.where, fmt::format("tool_calls should be a list, got {}", calls.type_name()));
    Json list = Json::array();
    for (const auto& call : calls) {
      if (!call.is_object() || !call.contains("function") || !call["function"].is_object())
        throw DataError(row_.where, "a tool call has no function object");
      const std::string name = name_of(call["function"], row_.where, "a tool call's function");
      std::string id = text_field(call, "id");
      if (id.empty()) id = fmt::format("{}_{}", prefix_, calls_);
      ++calls_;
      pending_.push_back(id);
      list.push_back({{"id", id},
                      {"type", "function"},
                      {"function", {{"name", name}, {"arguments", text_or_json(call["function"], "arguments")}}}});
    }
    return list;
  }

  const Json& turns_;
  const Row& row_;
  std::string prefix_;
  Json out_ = Json::array();
  std::vector<std::string> pending_;  // ids of the calls that the next answers belong to
  int64_t calls_ = 0;
  size_t at_ = 0;
};

}  // namespace

Json xlam_messages(const Row& row) {
  const auto id = row.value.find("id");
  const std::string prefix = id == row.value.end() || id->is_null()
                                 ? "call"
                                 : "call_" + (id->is_string() ? id->get<std::string>() : id->dump());
  Json calls = Json::array();
  for (const auto& answer : list_column(row, "answers")) {
    const std::string name = name_of(answer, row.where, "an answer");
    calls.push_back(
        {{"id", fmt::format("{}_{}", prefix, calls.size())},
         {"type", "function"},
         {"function", {{"name", name}, {"arguments", answer.contains("arguments") ? answer["arguments"] : Json("")}}}});
  }
  return {{{"role", "user"}, {"content", text_column(row, "query")}},
          {{"role", "assistant"}, {"content", ""}, {"tool_calls", std::move(calls)}}};
}

Json xlam_tools(const Row& row) {
  Json tools = Json::array();
  for (const auto& tool : list_column(row, "tools")) {
    const std::string name = name_of(tool, row.where, "a tool");
    Json properties = Json::object(), required = Json::array();
    const auto parameters = tool.find("parameters");
    if (parameters != tool.end() && !parameters->is_null()) {
      if (!parameters->is_object())
        throw DataError(row.where, fmt::format("parameters of tool '{}' should be an object", name));
      for (const auto& [key, definition] : parameters->items()) {
        if (definition.is_null()) continue;  // a column of structs fills fields that a tool lacks
        if (!definition.is_object())
          throw DataError(row.where, fmt::format("parameter '{}' of tool '{}' should be an object", key, name));
        properties[key] = xlam_property(definition);
        if (!definition.contains("default")) required.push_back(key);
      }
    }
    Json schema = {{"type", "object"}, {"properties", std::move(properties)}};
    if (!required.empty()) schema["required"] = std::move(required);
    tools.push_back({{"type", "function"},
                     {"function",
                      {{"name", name},
                       {"description", tool.contains("description") ? tool["description"] : Json("")},
                       {"parameters", std::move(schema)}}}});
  }
  return tools;
}

Json agent_messages(const Row& row, bool trim) {
  Json turns = agent_turns(row);
  if (trim) {
    size_t last = turns.size();
    while (last > 0 && text_field(turns[last - 1], "role") != "assistant") --last;
    if (last > 0) turns.erase(turns.begin() + static_cast<long>(last), turns.end());
  }
  return AgentMessages(turns, row).take();
}

Json agent_tools(const Row& row) {
  const auto found = row.value.find("tools");
  if (found != row.value.end() && found->is_string() && trim(found->get_ref<const std::string&>()).empty())
    return nullptr;
  return tools_of(row);
}

XlamBuilder::XlamBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, ChatOptions options)
    : format_(std::move(tokenizer), std::move(options)) {}

Sample XlamBuilder::build(const Row& row) const {
  const auto tokens = format_.tokenize(xlam_messages(row), xlam_tools(row), row.where);
  return shift(tokens.ids, tokens.trained);
}

AgentChatBuilder::AgentChatBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, ChatOptions chat,
                                   AgentOptions options)
    : format_(std::move(tokenizer), std::move(chat)), options_(options) {}

/// The messages without the exchange that begins at the first user message after the leading system messages.
static bool drop_oldest_exchange(Json& messages) {
  const auto is = [&](size_t i, const char* role) { return messages[i]["role"] == role; };
  size_t first = 0;
  while (first < messages.size() && is(first, "system")) ++first;
  size_t next = first + 1;
  while (next < messages.size() && !is(next, "user")) ++next;
  if (next >= messages.size()) return false;
  messages.erase(messages.begin() + static_cast<long>(first), messages.begin() + static_cast<long>(next));
  return true;
}

Sample AgentChatBuilder::build(const Row& row) const {
  Json messages = agent_messages(row, options_.trim_incomplete_last_turn);
  const Json tools = agent_tools(row);
  const bool answered = std::any_of(messages.begin(), messages.end(), [](auto& m) { return m["role"] == "assistant"; });
  if (!answered && options_.filter_no_assistant) return {{0}, {kNotTrained}};
  auto tokens = format_.tokenize(messages, tools, row.where);
  while (options_.fit_tokens > 0 && static_cast<int64_t>(tokens.ids.size()) > options_.fit_tokens &&
         drop_oldest_exchange(messages))
    tokens = format_.tokenize(messages, tools, row.where);
  return shift(tokens.ids, tokens.trained);
}

}  // namespace automodel::data
