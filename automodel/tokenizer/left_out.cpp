#include "automodel/tokenizer/left_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer {

namespace {

// One thing to be changed: where it is, and the text that is to grow.
struct Probe {
  LeftOut what;
  Json::json_pointer place;
  bool found = false;  // its text stands in the rendering
};

std::string role_of(const Json& message) {
  const auto role = message.find("role");
  return role != message.end() && role->is_string() ? role->get<std::string>() : "";
}

bool is_blank(const Json& text) {
  return !text.is_string() || jinja::strip(text.get_ref<const std::string&>(), true, true).empty();
}

// The text of a message; nothing where it has none, or a blank one.
std::optional<Json::json_pointer> text_place(const Json& message, const Json::json_pointer& at) {
  const auto content = message.find("content");
  if (content == message.end()) return std::nullopt;
  if (!content->is_array()) return is_blank(*content) ? std::nullopt : std::optional(at / "content");
  for (size_t i = content->size(); i-- > 0;) {
    const Json& part = (*content)[i];
    if (part.is_object() && part.contains("text") && !is_blank(part["text"])) return at / "content" / i / "text";
  }
  return std::nullopt;
}

// The name of the function of the first of a list of tools or calls.
std::optional<Json::json_pointer> name_place(const Json& owner, const char* key, const Json::json_pointer& at) {
  const auto list = owner.find(key);
  if (list == owner.end() || !list->is_array() || list->empty() || !list->front().is_object()) return std::nullopt;
  const Json& first = list->front();
  const Json::json_pointer place = at / key / 0;
  if (first.contains("function") && first["function"].is_object() && !is_blank(first["function"].value("name", Json())))
    return place / "function" / "name";
  return is_blank(first.value("name", Json())) ? std::nullopt : std::optional(place / "name");
}

std::vector<Probe> plan_probes(const Json& variables, const std::string& text) {
  using Part = LeftOut::Part;
  std::vector<Probe> probes;
  const auto messages = variables.find("messages");
  if (messages == variables.end() || !messages->is_array()) return probes;
  if (const auto place = name_place(variables, "tools", Json::json_pointer()))
    probes.push_back({{Part::Tools, 0, ""}, *place});
  for (size_t i = 0; i < messages->size(); ++i) {
    const Json& message = (*messages)[i];
    if (!message.is_object()) continue;
    const Json::json_pointer at = Json::json_pointer("/messages") / i;
    if (const auto place = text_place(message, at)) {
      const auto& content = variables.at(*place).get_ref<const std::string&>();
      const bool found = text.find(jinja::strip(content, true, true)) != std::string::npos;
      probes.push_back({{Part::Content, i, role_of(message)}, *place, found});
    }
    if (const auto place = name_place(message, "tool_calls", at))
      probes.push_back({{Part::Calls, i, role_of(message)}, *place});
  }
  return probes;
}

}  // namespace

std::vector<LeftOut> find_left_out(const ChatTemplate& chat_template, const Json& variables, const std::string& text,
                                   size_t max_renders, const RenderOptions& options) {
  std::vector<LeftOut> missing;
  auto probes = plan_probes(variables, text);
  if (probes.size() > max_renders) {
    std::stable_partition(probes.begin(), probes.end(), [](const Probe& probe) { return !probe.found; });
    probes.resize(max_renders);
  }
  Json changed = variables;
  for (const Probe& probe : probes) {
    auto& value = changed.at(probe.place).get_ref<std::string&>();
    const std::string before = value;
    value += "x";
    try {
      if (chat_template.render(changed, options).text == text) missing.push_back(probe.what);
    } catch (const DataError&) {  // it has been read
    }
    changed.at(probe.place) = before;
  }
  const auto order = [](const LeftOut& a, const LeftOut& b) { return a.message < b.message; };
  std::stable_sort(missing.begin(), missing.end(), order);
  return missing;
}

std::string describe(const LeftOut& left_out) {
  constexpr const char* kEnd = "in what the chat template renders";
  if (left_out.part == LeftOut::Part::Tools) return fmt::format("the tools are not {}", kEnd);
  if (left_out.part == LeftOut::Part::Calls)
    return fmt::format("the tool calls of messages[{}] are not {}", left_out.message, kEnd);
  return fmt::format("messages[{}], of role '{}', is not {}", left_out.message, left_out.role, kEnd);
}

}  // namespace automodel::tokenizer
