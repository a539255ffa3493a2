// Tool calling rows, turns picked by a field, and the reasoning of earlier turns.
#include "automodel/data/tool_chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/data/chat.h"
#include "automodel/data/testdata/byte_tokenizer.h"

namespace automodel::data {
namespace {
using testing::HasSubstr;

Row row_of(const char* json) { return {parse_json(json, "test"), "test.jsonl:3", 0}; }

constexpr auto kPlain = "{% for m in messages %}{{ m.role[0] + m.content + '\\n' }}{% endfor %}";
constexpr auto kMarked =
    "{% for m in messages %}{{ m.role[0] }}{% if m.role == 'assistant' %}{% if m.reasoning_content %}{% generation "
    "%}({{ "
    "m.reasoning_content }}){% endgeneration %}{% endif %}.{% generation %}{{ m.content + '\\n' }}{% endgeneration "
    "%}{% "
    "else %}{{ m.content + '\\n' }}{% endif %}{% endfor %}";

Sample build(const char* source, const char* json, ChatOptions options) {
  options.chat_template = source;
  return ChatBuilder(std::make_shared<ByteTokenizer>(), options).build(row_of(json));
}

TEST(Chat, TurnsAreTrainedByTheirField) {
  const auto* row =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "train": false},
    {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "reasoning_content": "r", "train": 1},
    {"role": "user", "content": "e"}, {"role": "assistant", "content": "f", "reasoning_content": "s", "train": 0},
    {"role": "user", "content": "g"}, {"role": "assistant", "content": "h"}]})";
  EXPECT_EQ(trained_text(build(kPlain, row, {.train_on = TrainOn::ByField})), "ad\n|ah\n");
  EXPECT_EQ(trained_text(build(kMarked, row, {.train_on = TrainOn::ByField})), "(r)|d\n|h\n");
  EXPECT_EQ(trained_text(build(kMarked, row, {.train_on = TrainOn::AllTurns})), "b\n|(r)|d\n|(s)|f\n|h\n");
  const auto* other =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]})";
  EXPECT_EQ(build(kPlain, other, {.train_on = TrainOn::ByField, .train_field = "weight"}).trained_tokens(), 0);
  const auto* wrong = R"({"messages": [{"role": "assistant", "content": "b", "train": "yes"}]})";
  EXPECT_THAT(message_of([&] { build(kPlain, wrong, {.train_on = TrainOn::ByField}); }),
              HasSubstr("test.jsonl:3: message 0: 'train' should be true, false or a number, got string"));
}

TEST(Chat, TheTrainFieldIsNotShownToTheTemplate) {
  const auto* source = "{% for m in messages %}{{ m | tojson }}{% endfor %}";
  const auto* row = R"({"messages": [{"role": "assistant", "content": "b", "train": true}]})";
  EXPECT_THAT(trained_text(build(source, row, {.train_on = TrainOn::ByField})), testing::Not(HasSubstr("train\"")));
}

TEST(Chat, EarlierReasoningCanBeLeftOut) {
  const auto* row = R"({"messages": [{"role": "user", "content": "a"},
    {"role": "assistant", "content": "b", "reasoning_content": "r"}, {"role": "user", "content": "c"},
    {"role": "assistant", "content": "d", "reasoning_content": "s"}]})";
  EXPECT_EQ(trained_text(build(kMarked, row, {})), "(r)|b\n|(s)|d\n");
  EXPECT_EQ(trained_text(build(kMarked, row, {.drop_history_reasoning = true})), "b\n|(s)|d\n");
}

TEST(Xlam, RowsBecomeToolCalls) {
  const Row row = row_of(R"({"id": 7, "query": "Add 1 and 2.",
    "tools": "[{\"name\": \"add\", \"description\": \"Adds.\", \"parameters\": {\"a\": {\"type\": \"int\", \"description\": \"x\"}, \"b\": {\"type\": \"List[int]\", \"default\": 0}}}]",
    "answers": [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "add", "arguments": {"a": 3}}]})");
  EXPECT_EQ(xlam_tools(row), Json::parse(R"([{"type": "function", "function": {"name": "add", "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer", "description": "x"},
      "b": {"type": "string", "description": "", "default": 0}}, "required": ["a"]}}}])"));
  EXPECT_EQ(xlam_messages(row), Json::parse(R"([{"role": "user", "content": "Add 1 and 2."},
    {"role": "assistant", "content": "", "tool_calls": [
      {"id": "call_7_0", "type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 2}}},
      {"id": "call_7_1", "type": "function", "function": {"name": "add", "arguments": {"a": 3}}}]}])"));
  EXPECT_THAT(message_of([] { xlam_tools(row_of(R"({"tools": "[{}]"})")); }),
              HasSubstr("test.jsonl:3: a tool has no name"));
  EXPECT_THAT(message_of([] { xlam_messages(row_of(R"({"query": "x"})")); }), HasSubstr("has no column 'answers'"));
}

TEST(Agent, CallsAndAnswersBecomeOpenAiMessages) {
  const Row row = row_of(R"({"tools": " ", "conversations": [{"from": "human", "value": "q"},
    {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"a\": [1, \"é\"]}}"},
    {"from": "function_call", "value": "{\"name\": \"g\"}"},
    {"from": "observation", "value": "1"}, {"from": "observation", "value": {"x": 2}}, {"from": "gpt", "value": "done"},
    {"from": "human", "value": "unanswered"}]})");
  EXPECT_TRUE(agent_tools(row).is_null());
  const Json messages = agent_messages(row, true);
  EXPECT_EQ(messages, Json::parse(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": "", "tool_calls": [
      {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{\"a\": [1, \"é\"]}"}},
      {"id": "call_1", "type": "function", "function": {"name": "g", "arguments": ""}}]},
    {"role": "tool", "content": "1", "tool_call_id": "call_0"},
    {"role": "tool", "content": "{\"x\": 2}", "tool_call_id": "call_1"},
    {"role": "assistant", "content": "done"}])"));
  EXPECT_EQ(agent_messages(row, false).size(), 6u);
}

TEST(Agent, CallsJoinTheMessageBeforeThem) {
  const Json messages = agent_messages(row_of(R"({"id": "x", "messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "content": "let me see", "reasoning_content": "hm"},
        {"role": "tool_call", "content": {"name": "f", "arguments": "{}"}}, {"role": "tool_response", "content": "1"},
        {"role": "tool_response", "content": "2", "tool_call_id": "own", "name": "f"}]})"),
                                       false);
  EXPECT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[1]["reasoning_content"], "hm");
  EXPECT_EQ(messages[1]["tool_calls"][0]["id"], "call_x_0");
  EXPECT_EQ(messages[2]["tool_call_id"], "call_x_0");
  EXPECT_EQ(messages[3]["tool_call_id"], "own");
  EXPECT_EQ(messages[3]["name"], "f");
  EXPECT_THAT(message_of([] { agent_messages(row_of(R"({"messages": [{"role": "robot"}]})"), false); }),
              HasSubstr("'robot' is no role"));
  EXPECT_THAT(
      message_of([] { agent_messages(row_of(R"({"messages": [{"role": "tool_call", "content": "{}"}]})"), false); }),
      HasSubstr("a tool call has no name"));
}

TEST(Agent, OldExchangesMakeRoomForTheLast) {
  const auto* row = R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "aaaaaaaaaa"},
    {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]})";
  const auto text = [&](int64_t fit) {
    const AgentChatBuilder builder(std::make_shared<ByteTokenizer>(), {.chat_template = kPlain}, {.fit_tokens = fit});
    return ByteTokenizer().decode(builder.build(row_of(row)).ids, true);
  };
  EXPECT_THAT(text(0), HasSubstr("aaaaaaaaaa"));
  EXPECT_EQ(text(15), "ss\nuc\nad");
  EXPECT_EQ(text(3), "ss\nuc\nad");  // the last exchange stays
  const AgentChatBuilder strict(std::make_shared<ByteTokenizer>(), {.chat_template = kPlain}, {});
  const AgentChatBuilder lenient(std::make_shared<ByteTokenizer>(), {.chat_template = kPlain},
                                 {.filter_no_assistant = true});
  const Row unanswered = row_of(R"({"messages": [{"role": "user", "content": "x"}]})");
  EXPECT_THAT(message_of([&] { strict.build(unanswered); }), HasSubstr("no assistant message"));
  EXPECT_EQ(lenient.build(unanswered).trained_tokens(), 0);
}

TEST(PythonJson, IsWrittenAsJsonDumpsDoes) {
  EXPECT_EQ(python_json(Json::parse(R"({"a":[1,2.5,{"b":null}],"c":"é\n","d":{},"e":[]})")),
            R"({"a": [1, 2.5, {"b": null}], "c": "é\n", "d": {}, "e": []})");
}

}  // namespace
}  // namespace automodel::data
