#include "automodel/tokenizer/left_out.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"

namespace automodel::tokenizer {

namespace {

using Part = LeftOut::Part;

std::vector<LeftOut> left_out(const std::string& source, const Json& variables, size_t max_renders = 64) {
  const auto parsed = ChatTemplate::parse(source);
  return find_left_out(parsed, variables, parsed.render(variables).text, max_renders);
}

Json message(const char* role, const Json& content) { return {{"role", role}, {"content", content}}; }

// Knows users and assistants, and passes over everything else.
constexpr char kTwoRoles[] =
    "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]"
    "{% elif m.role == 'assistant' %}({{ m.content | trim }}){% endif %}{% endfor %}";

}  // namespace

TEST(LeftOut, NamesMessagesOfRolesThatTheTemplateDoesNotKnow) {
  const Json variables = {{"messages",
                           {message("developer", "a"), message("user", "a"), message("assistant", " a \n"),
                            message("robot", "text"), message("tool", ""), message("tool", "text")}}};
  EXPECT_EQ(
      left_out(kTwoRoles, variables),
      (std::vector<LeftOut>{{Part::Content, 0, "developer"}, {Part::Content, 3, "robot"}, {Part::Content, 5, "tool"}}));
}

TEST(LeftOut, NamesCallsAndTools) {
  const Json call = {{"function", {{"name", "f"}, {"arguments", Json::object()}}}};
  Json calling = message("assistant", nullptr);
  calling["tool_calls"] = {call};
  const Json variables = {{"messages", {message("user", "a"), calling}}, {"tools", {call}}};
  EXPECT_EQ(left_out(kTwoRoles, variables),
            (std::vector<LeftOut>{{Part::Tools, 0, ""}, {Part::Calls, 1, "assistant"}}));
  EXPECT_EQ(left_out("{{ tools }}{{ messages }}", variables), std::vector<LeftOut>());
}

TEST(LeftOut, PartsAreTextsAndATemplateThatFailsHasRead) {
  const Json variables = {
      {"messages", {message("user", {{{"type", "text"}, {"text", "a"}}, {{"type", "image"}}}), message("robot", "a")}}};
  EXPECT_EQ(left_out("{% for part in messages[0].content %}{{ part.text }}{% endfor %}", variables),
            (std::vector<LeftOut>{{Part::Content, 1, "robot"}}));
  EXPECT_EQ(left_out("{% if messages[0].content[0].text != 'a' or messages[1].content != 'a' %}"
                     "{{ raise_exception('no') }}{% endif %}",
                     variables),
            std::vector<LeftOut>());
}

// Of many messages those are asked for first whose text is nowhere.
TEST(LeftOut, RendersAreBounded) {
  Json variables = {{"messages", Json::array()}};
  for (int i = 0; i < 200; ++i) variables["messages"].push_back(message("user", fmt::format("text {}.", i)));
  variables["messages"][150]["role"] = "robot";
  EXPECT_EQ(left_out(kTwoRoles, variables, 3), (std::vector<LeftOut>{{Part::Content, 150, "robot"}}));
}

TEST(LeftOut, IsSaidInWords) {
  EXPECT_EQ(describe({Part::Content, 3, "robot"}),
            "messages[3], of role 'robot', is not in what the chat template renders");
  EXPECT_EQ(describe({Part::Calls, 1, "assistant"}),
            "the tool calls of messages[1] are not in what the chat template renders");
  EXPECT_EQ(describe({Part::Tools, 0, ""}), "the tools are not in what the chat template renders");
}

}  // namespace automodel::tokenizer
