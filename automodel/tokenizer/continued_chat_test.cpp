// What the goldens of chat_template_test.cpp do not show: the words of refusals, and the marks of what is left.
#include "automodel/tokenizer/continued_chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"

namespace automodel::tokenizer {

namespace {

using testing::HasSubstr;

constexpr char kTurns[] = "{% for m in messages %}[{{ m.role }}]{{ m.content }}.{% endfor %}";

std::string refusal(const std::string& source, const Json& variables, const std::string& field = "content") {
  try {
    const auto rendered = render_continued(ChatTemplate::parse(source), variables, field);
    return "rendered: " + rendered.text;
  } catch (const DataError& error) {
    return error.what();
  }
}

Json chat(const Json& last) { return {{"messages", {{{"role", "user"}, {"content", "a"}}, last}}}; }

}  // namespace

TEST(ContinuedChat, EndsWithTheLastMessage) {
  const auto variables = chat({{"role", "assistant"}, {"content", "It is "}});
  EXPECT_EQ(render_continued(ChatTemplate::parse(kTurns), variables).text, "[user]a.[assistant]It is ");
}

TEST(ContinuedChat, CutsTheMarksOfGenerationWithTheText) {
  const auto source = ChatTemplate::parse(
      "{% for m in messages %}{% generation %}{{ m.content }}.{% endgeneration %}{% endfor %}"
      "{% generation %}end{% endgeneration %}");
  const auto rendered = render_continued(source, chat({{"role", "assistant"}, {"content", "bc"}}));
  EXPECT_EQ(rendered.text, "a.bc");
  EXPECT_EQ(rendered.generation, (std::vector<std::pair<size_t, size_t>>{{0, 2}, {2, 4}}));
}

TEST(ContinuedChat, SaysWhyAChatCannotBeContinued) {
  const Json answer = {{"role", "assistant"}, {"content", "It is"}};
  Json prompted = chat(answer);
  prompted["add_generation_prompt"] = true;
  EXPECT_THAT(refusal(kTurns, prompted), HasSubstr("excludes add_generation_prompt"));
  EXPECT_THAT(refusal(kTurns, Json::object()), HasSubstr("conversation is empty"));
  EXPECT_THAT(refusal(kTurns, {{"messages", Json::array()}}), HasSubstr("conversation is empty"));
  EXPECT_THAT(refusal(kTurns, chat("It is")), HasSubstr("a message should be an object, got string"));
  EXPECT_THAT(refusal(kTurns, chat({{"role", "assistant"}})), HasSubstr("no 'content' to continue"));
  EXPECT_THAT(refusal(kTurns, chat({{"content", 3}})), HasSubstr("should be text, got number"));
  EXPECT_THAT(refusal(kTurns, chat({{"content", {{{"type", "image"}}}}})), HasSubstr("no text among its parts"));
  EXPECT_THAT(refusal(kTurns, chat({{"role", "assistant"}, {"thought", "x"}}), "thought"),
              HasSubstr("does not know 'thought'"));
  EXPECT_THAT(refusal("{{ messages[0].content }}", chat(answer)), HasSubstr("does not appear"));
  EXPECT_THAT(refusal("{% for m in messages %}{{ m.content[2:] }}{% endfor %}", chat(answer)),
              HasSubstr("does not appear"));
}

}  // namespace automodel::tokenizer
