// Which template a row takes, which tokens close a turn, and what users are told of a template.
#include "automodel/data/chat_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/data/chat.h"
#include "automodel/data/messages.h"
#include "automodel/data/testdata/byte_tokenizer.h"

namespace automodel::data {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A tokenizer whose templates can be set.
class Renamed : public tokenizer::Tokenizer {
 public:
  explicit Renamed(std::shared_ptr<const tokenizer::Tokenizer> inner) : inner_(std::move(inner)) {
    static_cast<tokenizer::Tokenizer&>(*this) = *inner_;
    chat_template.clear(), chat_templates.clear();
  }
  std::vector<int32_t> encode(std::string_view text, bool special) const override {
    return inner_->encode(text, special);
  }
  tokenizer::Encoding encode_with_offsets(std::string_view text, bool special) const override {
    return inner_->encode_with_offsets(text, special);
  }
  std::string decode(std::span<const int32_t> ids, bool skip) const override { return inner_->decode(ids, skip); }
  int64_t vocab_size() const override { return inner_->vocab_size(); }
  std::optional<int32_t> token_to_id(std::string_view token) const override { return inner_->token_to_id(token); }
  std::optional<std::string> id_to_token(int32_t id) const override { return inner_->id_to_token(id); }
  bool is_special(int32_t id) const override { return inner_->is_special(id); }

 private:
  std::shared_ptr<const tokenizer::Tokenizer> inner_;
};

// Rows with and without tools under tokenizers with several templates, as transformers' apply_chat_template takes them.
TEST(NamedTemplates, AreChosenAsTransformersDoes) {
  const Json goldens = load_json(AUTOMODEL_SOURCE_DIR "/automodel/data/testdata/samples.json");
  const auto inner = tokenizer::load(AUTOMODEL_SOURCE_DIR "/assets/quickstart/model");
  int compared = 0, refused = 0;
  for (const Json& golden : goldens["named"]) {
    const auto tokenizer = std::make_shared<Renamed>(inner);
    for (const auto& [name, source] : golden["templates"].items())
      tokenizer->chat_templates[name] = goldens["templates"][source.get<std::string>()];
    if (tokenizer->chat_templates.contains("default"))
      tokenizer->chat_template = tokenizer->chat_templates.at("default");
    const Row row{golden["row"], "golden.jsonl:1", 0};
    const auto tokenize = [&] {
      return ChatFormat(tokenizer, {}).tokenize(messages_of(row), tools_of(row), row.where);
    };
    const std::string title = golden["templates"].dump() + " " + golden["name"].get<std::string>();
    if (golden.contains("error")) {
      EXPECT_THAT(message_of([&] { tokenize(); }), HasSubstr("golden.jsonl:1: has no tools")) << title;
      ++refused;
      continue;
    }
    EXPECT_EQ(Json(tokenize().ids), golden["ids"]) << title;
    ++compared;
  }
  EXPECT_EQ(compared, 11);
  EXPECT_EQ(refused, 1);
}

TEST(NamedTemplates, AnOptionIsTakenForEveryRow) {
  auto tokenizer = std::make_shared<ByteTokenizer>();
  tokenizer->chat_template = "own{{ messages | length }}";
  tokenizer->chat_templates = {{"default", "own"}, {"tool_use", "{{ oops"}};
  const Json messages =
                 parse_json(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])", "test"),
             tools = parse_json(R"([{"type": "function", "function": {"name": "f"}}])", "test");
  const ChatFormat format(tokenizer, {.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"});
  EXPECT_EQ(format.tokenize(messages, tools, "x").ids, (std::vector<int32_t>{'a', 'b'}));
  EXPECT_THAT(message_of([&] { ChatFormat(tokenizer, {}); }), HasSubstr("chat template tool_use:1"));
}

// The trained text of a conversation: user a, assistant b, user c, assistant d (and user e).
std::string trained(const std::string& assistant, ChatOptions options = {}, bool asks_again = false,
                    std::vector<std::string>* notes = nullptr) {
  options.chat_template = "{% for m in messages %}{% if m.role == 'assistant' %}" + assistant +
                          "{% else %}[{{ m.content }}]{% endif %}{% endfor %}";
  const ChatBuilder builder(std::make_shared<ByteTokenizer>(), options);
  Json row = parse_json(R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                            {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "train": false}]})",
                        "test");
  if (asks_again) row["messages"].push_back({{"role", "user"}, {"content", "e"}});
  const Sample sample = builder.build({row, "test.jsonl:1", 0});
  std::string text = trained_text(sample);
  if (notes) *notes = builder.notes();
  if (!text.empty() && text.back() == '|') text.pop_back();
  return text;
}

constexpr auto kOnlyText = "{% generation %}{{ m.content }}{% endgeneration %}{{ '<|im_end|>\\n' }}";

TEST(EndOfTurn, IsTrainedThoughTheMarksLeaveItOut) {
  EXPECT_EQ(trained(kOnlyText), "b<|im_end|>|d<|im_end|>");
  EXPECT_EQ(trained(kOnlyText, {}, true), "b<|im_end|>|d<|im_end|>");
  EXPECT_EQ(trained(kOnlyText, {.train_on = TrainOn::LastTurn}), "d<|im_end|>");
  EXPECT_EQ(trained(kOnlyText, {.train_on = TrainOn::ByField}), "b<|im_end|>");
  EXPECT_EQ(trained("{% generation %}{{ m.content }}{% endgeneration %}{{ ' \\n<|im_end|>' }}"),
            "b \n<|im_end|>|d \n<|im_end|>");
}

TEST(EndOfTurn, InsideTheMarksIsLeftAsTheyAre) {
  EXPECT_EQ(trained("{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"),
            "b<|im_end|>|d<|im_end|>");
}

// The header of the next turn is no end: it does not stand behind the last answer.
TEST(EndOfTurn, IsNoHeaderOfTheNextTurn) {
  EXPECT_EQ(trained("{% generation %}{{ m.content }}{% endgeneration %}{% if not loop.last %}<|im_start|>{% endif %}"),
            "b|d");
  EXPECT_EQ(trained("{% generation %}{{ m.content }}{% endgeneration %}{{ '.' + '<|im_end|>' }}"), "b|d");
}

// Once for each role, with the first place; also where the text of a later message is nowhere.
TEST(Notes, SayWhatTheTemplateLeavesOut) {
  const ChatBuilder builder(
      std::make_shared<ByteTokenizer>(),
      {.chat_template =
           "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}"
           "{% endgeneration %}{% elif m.role == 'user' or (m.role == 'system' and loop.first) %}[{{ m.content }}]"
           "{% endif %}{% endfor %}"});
  const auto build = [&](const char* messages, const std::string& where) {
    builder.build({{{"messages", parse_json(messages, "test")}}, where, 0});
  };
  build(
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])",
      "t:1");
  EXPECT_THAT(builder.notes(), IsEmpty());
  build(R"([{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "i", "content": "a"},
            {"role": "assistant", "content": "b", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}])",
        "t:2");
  build(R"([{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "i", "content": "c"},
            {"role": "assistant", "content": "b"}])",
        "t:3");
  build(R"([{"role": "user", "content": "a"}, {"role": "system", "content": "be brief"},
            {"role": "assistant", "content": "b"}])",
        "t:4");
  const std::string end = "not in what the chat template renders: the model never sees it";
  EXPECT_EQ(builder.notes(), (std::vector<std::string>{"t:2: messages[1], of role 'tool', is " + end,
                                                       "t:2: the tool calls of messages[2] are " + end,
                                                       "t:4: messages[1], of role 'system', is " + end}));
}

TEST(Notes, SayWhatIsLeftOutBehindManyRowsWhoseTextsAreRewritten) {
  const ChatBuilder builder(
      std::make_shared<ByteTokenizer>(),
      {.chat_template = "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
                        "{{ m.content | upper + '<|im_end|>' }}{% endgeneration %}"
                        "{% elif m.role == 'user' %}{{ m.content | upper }}{% endif %}{% endfor %}"});
  const Json answer{{"role", "assistant"}, {"content", "b"}}, question{{"role", "user"}, {"content", "a"}};
  for (int row = 0; row < 200; ++row) builder.build({{{"messages", {question, answer}}}, fmt::format("t:{}", row), 0});
  EXPECT_THAT(builder.notes(), IsEmpty());
  builder.build({{{"messages", {{{"role", "system"}, {"content", "s"}}, question, answer}}}, "t:200", 0});
  EXPECT_THAT(builder.notes(), ElementsAre(HasSubstr("t:200: messages[0], of role 'system'")));
}

TEST(Notes, SayWhatTheTemplateLacks) {
  std::vector<std::string> notes;
  trained(kOnlyText, {}, false, &notes);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("marks leave out the token that ends the assistant's turn")));
  trained("{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}", {}, false, &notes);
  EXPECT_THAT(notes, IsEmpty());
  trained("{{ m.content }}", {}, false, &notes);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("has no {% generation %} marks")));
}

}  // namespace
}  // namespace automodel::data
