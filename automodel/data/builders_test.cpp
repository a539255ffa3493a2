// Samples of every builder against transformers (testdata/samples.json, made by tools/make_chat_goldens.py), and their
// faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/data/chat.h"
#include "automodel/data/hellaswag.h"
#include "automodel/data/messages.h"
#include "automodel/data/squad.h"
#include "automodel/data/testdata/byte_tokenizer.h"

namespace automodel::data {
namespace {
using testing::HasSubstr;

constexpr auto kChatml =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}";

Row row_of(const char* json) { return {parse_json(json, "test"), "test.jsonl:3", 0}; }

std::shared_ptr<ByteTokenizer> bytes(const std::string& chat_template = "", bool join_spaces = false) {
  auto tokenizer = std::make_shared<ByteTokenizer>(join_spaces);
  tokenizer->chat_template = chat_template;
  return tokenizer;
}

const Json& goldens() {
  static const Json json = load_json(AUTOMODEL_SOURCE_DIR "/automodel/data/testdata/samples.json");
  return json;
}
std::shared_ptr<const tokenizer::Tokenizer> quickstart_tokenizer() {
  static const auto tokenizer = tokenizer::load(AUTOMODEL_SOURCE_DIR "/assets/quickstart/model");
  return tokenizer;
}

TEST(Golden, ChatsAreTokenisedAndMaskedAsTransformersDoes) {
  int compared = 0, refused = 0;
  for (const auto& golden : goldens()["chats"]) {
    const std::string name = golden["template"].get<std::string>() + "/" + golden["name"].get<std::string>();
    const ChatFormat format(quickstart_tokenizer(),
                            {.chat_template = goldens()["templates"][golden["template"].get<std::string>()]});
    const Row row{golden["row"], "golden.jsonl:1", 0};
    const auto act = [&] { return format.tokenize(messages_of(row), tools_of(row), row.where); };
    if (golden.contains("error")) {
      EXPECT_THAT(message_of([&] { act(); }),
                  HasSubstr("golden.jsonl:1: which tokens are the assistant's cannot be told"))
          << name;
      ++refused;
      continue;
    }
    const auto tokens = act();
    EXPECT_EQ(Json(tokens.ids), golden["ids"]) << name;
    EXPECT_EQ(Json(std::vector<int>(tokens.trained.begin(), tokens.trained.end())), golden["mask"]) << name;
    ++compared;
  }
  EXPECT_GE(compared, 33);
  EXPECT_GE(refused, 2);
}

TEST(Golden, TextsAreTokenisedAndMaskedByOffsets) {
  const auto tokenizer = quickstart_tokenizer();
  std::map<std::string, std::unique_ptr<SampleBuilder>> builders;
  auto plain = std::make_shared<ByteTokenizer>();
  const auto columns = [&](PromptAnswerOptions options) {
    return std::make_unique<PromptAnswerBuilder>(tokenizer, options);
  };
  builders["columns"] = columns({.context = "context", .question = "question", .answer = "answer"});
  builders["question"] = columns({.question = "question", .answer = "answer"});
  builders["everything"] =
      columns({.context = "context", .question = "question", .answer = "answer", .answer_only_loss_mask = false});
  builders["hellaswag"] = std::make_unique<HellaSwagBuilder>(tokenizer, EdgeTokens{});
  for (const auto& golden : goldens()["texts"]) {
    if (golden["builder"] == "squad") continue;  // this tokenizer has a template: see the next test
    const Sample sample = builders.at(golden["builder"])->build({golden["row"], "golden.jsonl:1", 0});
    EXPECT_EQ(Json(sample.ids), golden["ids"]) << golden["name"];
    EXPECT_EQ(Json(sample.labels), golden["labels"]) << golden["name"];
  }
}

TEST(Golden, SquadWithoutATemplateIsOneText) {
  const Json& golden = *std::find_if(goldens()["texts"].begin(), goldens()["texts"].end(),
                                     [](const Json& g) { return g["builder"] == "squad"; });
  const Row row{golden["row"], "golden.jsonl:1", 0};
  const auto& prompt = golden["row"];
  const Sample sample = prompt_answer_sample(*quickstart_tokenizer(),
                                             "Context: " + prompt["context"].get<std::string>() +
                                                 " Question: " + prompt["question"].get<std::string>() + " Answer: ",
                                             "Rome", true, {});
  EXPECT_EQ(Json(sample.ids), golden["ids"]);
  EXPECT_EQ(Json(sample.labels), golden["labels"]);
  const SquadBuilder plain(bytes(), {}), chat(bytes(kChatml), {});
  EXPECT_EQ(trained_text(plain.build(row)), "Rome");
  EXPECT_EQ(ByteTokenizer().decode(plain.build(row).ids, true),
            "Context: Rome is the capital of Italy. Question: What is the capital? Answer: Rom");
  EXPECT_EQ(trained_text(chat.build(row)), "<|im_start|>assistant\nRome<|im_end|>\n");
}

TEST(Chat, LastTurnTrainsOnlyTheLastAnswer) {
  const Row row = row_of(R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                             {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]})");
  const auto train = [&](const std::string& source, TrainOn on) {
    return trained_text(ChatBuilder(bytes(), {.chat_template = source, .train_on = on}).build(row));
  };
  EXPECT_EQ(train(kChatml, TrainOn::LastTurn), "<|im_start|>assistant\nd<|im_end|>\n");
  const std::string marked =
      "{% for m in messages %}{{ m.role }}{% if m.role == 'assistant' %}{% generation %}{{ m.content + eos_token }}{% "
      "endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
  EXPECT_EQ(train(marked, TrainOn::AllTurns), "b</s>|d</s>");
  EXPECT_EQ(train(marked, TrainOn::LastTurn), "d</s>");
  EXPECT_EQ(train(marked, TrainOn::Everything), "b</s>|d</s>");
  EXPECT_EQ(train("{% for m in messages %}{{ m.content }}{% endfor %}", TrainOn::Everything), "bcd");
  // what rewrites earlier turns can still be trained on its last one
  EXPECT_EQ(train("{% for m in messages %}{% if not loop.last and m.role == 'assistant' %}-{% else %}{{ m.content }}{% "
                  "endif %}{% endfor %}",
                  TrainOn::LastTurn),
            "d");
}

TEST(Chat, ReasoningCanBeLeftUntrained) {
  const Row row = row_of(
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "reasoning_content": "so so", "content": "so it is"}]})");
  const std::string source =
      "{% for m in messages %}{{ m.role }}{% if m.role == 'assistant' %}{% generation %}<think>{{ m.reasoning_content "
      "}}</think>{{ m.content + eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
  EXPECT_EQ(trained_text(ChatBuilder(bytes(), {.chat_template = source}).build(row)),
            "<think>so so</think>so it is</s>");
  EXPECT_EQ(trained_text(ChatBuilder(bytes(), {.chat_template = source, .mask_reasoning_content = true}).build(row)),
            "<think>|</think>so it is</s>");
}

TEST(Chat, GenerationMarksInsideAMacroAreRefused) {
  const ChatBuilder builder(
      bytes("{% macro say(m) %}{% generation %}{{ m.content }}{% endgeneration %}{% endmacro %}{{ say(messages[0]) }}"),
      {});
  EXPECT_THAT(message_of([&] { builder.build(row_of(R"({"messages": [{"role": "assistant", "content": "x"}]})")); }),
              HasSubstr("test.jsonl:3: the chat template has its {% generation %} marks inside a macro"));
}

TEST(Chat, TokensAcrossABorderAreTrained) {
  const tokenizer::Encoding encoding = ByteTokenizer(true).encode_with_offsets("ab cd e", false);  // a b " c" d " e"
  const auto flags = [&](size_t begin, size_t end) {
    const auto inside = tokens_in_spans(encoding, {{begin, end}});
    return std::vector<int>(inside.begin(), inside.end());
  };
  EXPECT_THAT(flags(3, 5), testing::ElementsAre(0, 0, 1, 1, 0));
  EXPECT_THAT(flags(0, 3), testing::ElementsAre(1, 1, 1, 0, 0));
  EXPECT_THAT(flags(2, 2), testing::ElementsAre(0, 0, 0, 0, 0));
}

TEST(Chat, ARowThatIsNoChatIsRefusedWithItsPlace) {
  const ChatBuilder builder(bytes(kChatml), {});
  const auto fails = [&](const char* json) { return message_of([&] { builder.build(row_of(json)); }); };
  EXPECT_THAT(fails(R"({"text": "x"})"), HasSubstr("test.jsonl:3: expected a list 'messages'"));
  EXPECT_THAT(fails(R"({"messages": []})"), HasSubstr("the conversation is empty"));
  EXPECT_THAT(fails(R"({"messages": ["x"]})"), HasSubstr("a message should be an object, got string"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "robot", "content": "x"}]})"), HasSubstr("'robot' is no role"));
  EXPECT_THAT(fails(R"({"messages": [{"role": 5, "content": "x"}]})"), HasSubstr("5 is no role of a message"));
  EXPECT_THAT(fails(R"({"messages": [{"content": "x"}]})"), HasSubstr("nothing is no role of a message"));
  EXPECT_THAT(fails(R"({"conversations": [{"from": [1], "value": "x"}]})"), HasSubstr("[1] is no role"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "user", "content": "x"}]})"), HasSubstr("no assistant message"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})"),
              HasSubstr("a content part is no text"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "tool", "content": "x"}]})"), HasSubstr("tool_call_id"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]})"),
              HasSubstr("the call of tool 'f' has no arguments"));
  EXPECT_THAT(fails(R"({"conversations": [{"from": "alien", "value": "x"}]})"),
              HasSubstr("'alien' is no role of a conversation"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "user", "content": "x"}], "tools": "{"})"),
              HasSubstr("test.jsonl:3: tools:1:"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "user", "content": "x"}], "tools": "[{}]"})"),
              HasSubstr("test.jsonl:3: tools[0] has no function and no name"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "user", "content": "x"}], "tools": [{"function": {}}]})"),
              HasSubstr("test.jsonl:3: tools[0] has a function without a name"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "user", "content": "x"}], "tools": "3"})"),
              HasSubstr("test.jsonl:3: tools should be a list, got number"));
  EXPECT_THAT(fails(R"({"messages": [{"role": "user", "content": "x"}], "tools": {"name": "f"}})"),
              HasSubstr("test.jsonl:3: tools should be a list, got object"));
  for (const char* none : {R"("null")", R"(" null ")", R"("")", R"("[]")", "[]", "null"})
    EXPECT_TRUE(tools_of(row_of(fmt::format(R"({{"tools": {}}})", none).c_str())).is_null()) << none;
  const ChatBuilder strict(bytes("{{ raise_exception('roles must alternate') }}"), {});
  EXPECT_THAT(message_of([&] { strict.build(row_of(R"({"messages": [{"role": "user", "content": "x"}]})")); }),
              testing::AllOf(HasSubstr("test.jsonl:3: the chat template rejects this conversation"),
                             HasSubstr("roles must alternate")));
  EXPECT_THAT(message_of([] { ChatBuilder(bytes(), {}); }), HasSubstr("the tokenizer has no chat template"));
  EXPECT_THAT(message_of([] { ChatBuilder(bytes(), {.chat_template = "no/such/file"}); }),
              HasSubstr("is neither a chat template nor a file"));
}

TEST(PromptAnswer, TheAnswerAndAnAddedEosAreTrained) {
  const Row row = row_of(R"({"q": "Why?", "a": "so it"})");
  PromptAnswerOptions options{.question = "q", .answer = "a"};
  EXPECT_EQ(trained_text(PromptAnswerBuilder(bytes(), options).build(row)), "so it");
  EXPECT_EQ(PromptAnswerBuilder(bytes(), options).build(row).ids.front(), ByteTokenizer::kBos);
  EXPECT_EQ(trained_text(PromptAnswerBuilder(bytes("", true), options).build(row)),
            " so it");  // one token holds the space and the s
  options.edges.add_eos = true;
  EXPECT_EQ(trained_text(PromptAnswerBuilder(bytes(), options).build(row)), "so it</s>");
  EXPECT_THAT(PromptAnswerBuilder(bytes(), options).notes(), testing::IsEmpty());
  auto tokenizer = bytes();
  tokenizer->add_eos = true;  // the post-processor's: not doubled
  EXPECT_EQ(trained_text(PromptAnswerBuilder(tokenizer, options).build(row)), "so it</s>");
  tokenizer = bytes();
  tokenizer->add_bos = false;
  tokenizer->config["add_bos_token"] = true;
  EXPECT_EQ(PromptAnswerBuilder(tokenizer, {.question = "q", .answer = "a"}).build(row).ids.front(),
            ByteTokenizer::kBos);
}

TEST(PromptAnswer, AChatTemplateIsUsedWhenAskedFor) {
  const Row row = row_of(R"({"c": "Be.", "q": "Why?", "a": 12})");
  PromptAnswerOptions options{.context = "c", .question = "q", .answer = "a", .use_hf_chat_template = true};
  const Sample sample = PromptAnswerBuilder(bytes(kChatml), options).build(row);
  EXPECT_EQ(ByteTokenizer().decode(sample.ids, false),
            "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n12<|im_end|>");
  EXPECT_EQ(trained_text(PromptAnswerBuilder(bytes(), options).build(row)), "12");
  EXPECT_THAT(PromptAnswerBuilder(bytes(), options).notes(), testing::ElementsAre(HasSubstr("has no chat template")));
}

TEST(PromptAnswer, AMissingColumnIsNamedWithTheNearest) {
  const PromptAnswerBuilder builder(bytes(), {.question = "question", .answer = "answer"});
  EXPECT_THAT(message_of([&] { builder.build(row_of(R"({"question": "x", "answers": "y"})")); }),
              testing::AllOf(HasSubstr("test.jsonl:3: has no column 'answer' (columns: question, answers)"),
                             HasSubstr("did you mean 'answers'?")));
  EXPECT_THAT(message_of([&] { builder.build(row_of(R"({"question": ["x"], "answer": "y"})")); }),
              HasSubstr("should be a text, got array"));
  EXPECT_THROW(PromptAnswerBuilder(bytes(), {.question = "q"}), ConfigError);
  EXPECT_THROW(PromptAnswerBuilder(bytes(), {.answer = "a"}), ConfigError);
}

TEST(HellaSwag, AWrongLabelIsRefused) {
  const HellaSwagBuilder builder(bytes(), {});
  EXPECT_THAT(message_of([&] { builder.build(row_of(R"({"ctx": "x", "endings": ["a"], "label": "1"})")); }),
              HasSubstr("label '1' is none of its 1 endings"));
  EXPECT_THAT(message_of([&] { builder.build(row_of(R"({"ctx": "x", "endings": ["a"], "label": -1})")); }),
              HasSubstr("label '-1'"));
  EXPECT_THAT(message_of([&] { builder.build(row_of(R"({"ctx": "x"})")); }), HasSubstr("expected a list 'endings'"));
}

TEST(Squad, RowsWithoutAnswers) {
  const Row none = row_of(R"({"context": "c", "question": "q", "answers": {"text": []}})");
  EXPECT_EQ(SquadBuilder(bytes(), {}).build(none).trained_tokens(), 0);
  EXPECT_THAT(message_of([&] { SquadBuilder(bytes(kChatml), {}).build(none); }),
              HasSubstr("test.jsonl:3: has no answer"));
}

}  // namespace
}  // namespace automodel::data
