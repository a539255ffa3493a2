// tokenize and render: what comes out, and one clear line for everything that is not right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <tuple>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class TextCommand : public testing::Test {
 protected:
  static std::string model() { return tiny_base().string(); }

  TemporaryFolder folder_;
};

TEST_F(TextCommand, TokenizeGoesThereAndBack) {
  const std::string text = "Natalia sold clips.";
  const auto ids = text_of({"tokenize", "--model", model()}, {"["}, text + "\n");
  EXPECT_EQ(text_of({"tokenize", "--model", model(), "--decode"}, {}, ids), text + "\n");
  EXPECT_EQ(text_of({"tokenize", "--model", model(), folder_.write("text", text + "\n")}, {}), ids);
  const auto list = parse_json(ids, "ids");
  const auto offsets = parse_json(text_of({"tokenize", "--model", model(), "--offsets"}, {}, text + "\n"), "offsets");
  EXPECT_EQ(offsets.at("ids"), list);
  EXPECT_EQ(offsets.at("offsets").back().at(1), text.size());
  EXPECT_EQ(parse_json(text_of({"tokenize", "--model", model(), "--jsonl"}, {}, Json(text).dump() + "\n"), "ids"),
            list);
  EXPECT_EQ(parse_json(text_of({"tokenize", "--model", model(), "--jsonl", "--decode"}, {}, ids), "text"), text);

  const auto second_line = run({"tokenize", "--model", model(), "--decode"}, {.input = "[1]\n[1, -3]\n"});
  EXPECT_EQ(second_line.exit_code, 1);
  EXPECT_THAT(second_line.err, HasSubstr("error: <stdin>:2: expected ids below 4096, got -3"));
  expect_error(run({"tokenize", "--model", (folder_ / "none").string()}), 1, {(folder_ / "none").string()});
}

TEST_F(TextCommand, TokenizeNamesFileLineAndReason) {
  const auto tokenize = [&](std::vector<std::string> more, const std::string& text) {
    more.insert(more.begin(), {"tokenize", "--model", model()});
    more.push_back(folder_.write("lines", text));
    return run(more);
  };
  const auto where = (folder_ / "lines").string();
  const auto latin = tokenize({}, "ok\na\xe9\n");
  EXPECT_THAT(latin.err, testing::StartsWith("error: " + where + ":2:2: not UTF-8\n"));
  EXPECT_EQ(latin.exit_code, 1);
  const std::tuple<std::vector<std::string>, const char*, const char*> faults[] = {
      {{"--jsonl"}, "\"a\"\n\"b\n", ":2:3: not valid JSON"},
      {{"--jsonl"}, "\"a\"\n3\n", ":2: expected a JSON string, got number"},
      {{"--decode"}, "[1]\n[1,\n", ":2:4: not valid JSON"},
      {{"--decode"}, "[1]\n{}\n", ":2: expected a JSON list of ids, got object"},
      {{"--decode"}, "[1]\n[1.5]\n", ":2: expected ids below 4096, got 1.5"},
      {{"--decode"}, "[1]\n[123456789012345678901]\n", ":2: expected ids below 4096"}};
  for (const auto& [flags, text, fault] : faults) {
    const auto result = tokenize(flags, text);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, testing::StartsWith("error: " + where + fault));
  }
  expect_error(run({"tokenize", "--model", model(), (folder_ / "none").string()}), 1,
               {(folder_ / "none").string() + ": cannot be opened: No such file or directory"});
  expect_error(run({"tokenize", "--model", model(), "--decode", "--offsets"}), 2, {"--offsets", "exclude --decode"});
  const auto windows = tokenize({}, "a\r\nb\r\n");
  EXPECT_EQ(windows.exit_code, 0);
  EXPECT_THAT(windows.err,
              testing::AllOf(HasSubstr(where + ":1: the line ends with \\r\\n"), testing::Not(HasSubstr(":2: "))));
}

TEST_F(TextCommand, AFolderInPlaceOfAFileOfLinesIsRefused) {
  const auto folder = folder_.path().string();
  expect_error(run({"tokenize", "--model", model(), folder}), 1, {folder, "is a folder, expected a file"});
  expect_error(run({"render", "--model", model(), "--jsonl", folder}), 1, {folder, "is a folder, expected a file"});
  expect_error(run({"-c", "'" + binary() + "' tokenize --model '" + model() + "' < '" + folder + "'"}, {}, "/bin/sh"),
               1, {"<stdin>", "cannot be read"});
}

TEST_F(TextCommand, RenderAppliesTheTemplate) {
  const std::string chat = R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
  EXPECT_EQ(text_of({"render", "--model", model()}, {}, chat),
            "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n");
  EXPECT_EQ(run({"render", "--model", model(), "--mask"}, {.input = chat}).out,
            "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[[b<|im_end|>]]\n");
  const auto ids = parse_json(run({"render", "--model", model(), "--ids", "--mask"}, {.input = chat}).out, "ids");
  EXPECT_EQ(ids.at("ids").size(), ids.at("mask").size());
  const auto line = parse_json(
      run({"render", "--model", model(), "--mask", "--jsonl"}, {.input = "{\"messages\": " + chat + "}\n"}).out,
      "line");
  EXPECT_EQ(line.at("tokens"), ids.at("ids").size());
  EXPECT_EQ(line.at("trained_tokens"), 2);
  EXPECT_FALSE(line.contains("warnings"));
  const auto asked = parse_json(run({"render", "--model", model(), "--mask", "--jsonl"},
                                    {.input = R"({"messages": [{"role": "user", "content": "a"}]})"
                                              "\n"})
                                    .out,
                                "asked");
  EXPECT_EQ(asked.at("warnings"), Json::array({"nothing is trained"}));
  EXPECT_THAT(text_of({"render", "--model", model(), "--add-generation-prompt"}, {}, chat),
              testing::EndsWith("<|im_start|>assistant\n"));
  const auto rendered =
      run({"render", "--model", model(), "--jsonl"}, {.input = "{\"messages\": " + chat + "}\n{\"messages\": [3]}\n"});
  EXPECT_EQ(rendered.exit_code, 0);
  EXPECT_EQ(rendered.err, "warning: 1 of 2 lines could not be rendered\n");
  const std::string& lines = rendered.out;
  const auto second = lines.substr(lines.find('\n') + 1);
  EXPECT_TRUE(parse_json(lines.substr(0, lines.find('\n')), "line 1").contains("text"));
  EXPECT_TRUE(parse_json(second, "line 2").contains("error")) << second;
  expect_error(run({"render"}, {.input = chat}), 1, {"no chat template", "--template"});
  expect_error(run({"render", "--model", model()}, {.input = "[{]"}), 1, {"<stdin>:1:", "not valid JSON"});
}

// By the command or by the chat; what it excludes is refused.
TEST_F(TextCommand, RenderLeavesTheLastMessageOpen) {
  const std::string chat = R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "It is "}])";
  const std::string open = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nIt is ";
  const Arguments render = {"render", "--model", model(), "--continue-final-message"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), render.begin(), render.end());
    return more;
  };
  EXPECT_EQ(text_of(render, {}, chat), open);
  EXPECT_EQ(text_of(with({folder_.write("chat.json", chat)}), {}), open);
  const auto asking = R"({"continue_final_message": true, "messages": )" + chat + "}";
  EXPECT_EQ(text_of({"render", "--model", model()}, {}, asking), open);
  EXPECT_EQ(text_of({"render", "--model", model(), "--continue-final-message=content"}, {}, chat), open);
  expect_error(run({"render", "--model", model(), "--continue-final-message=thought"}, {.input = chat}), 1,
               {"<stdin>: ", "no 'thought' to continue"});
  expect_error(run(with({"--mask"}), {.input = chat}), 2, {"--mask exclude each other"});
  expect_error(run(with({"--add-generation-prompt"}), {.input = chat}), 2, {"exclude each other"});
  expect_error(run({"render", "--model", model(), "--mask"}, {.input = asking}), 1, {"excludes --mask"});
  expect_error(
      run({"render", "--model", model()}, {.input = R"({"continue_final_message": 3, "messages": )" + chat + "}"}), 1,
      {"continue_final_message should be true, false or the name of a field, got number"});
}

TEST_F(TextCommand, RenderRefusesToolsThatAreNone) {
  const std::string chat = R"([{"role": "user", "content": "a"}])";
  const auto with = [&](const std::string& tools) {
    return run({"render", "--model", model(), "--tools", folder_.write("tools.json", tools)}, {.input = chat});
  };
  const std::pair<const char*, const char*> faults[] = {
      {R"({"name": "f"})", "tools should be a list, got object"},
      {"null", "tools should be a list, got null"},
      {"[3]", "tools[0] should be an object, got number"},
      {R"([{"name": "f"}, {}])", "tools[1] has no function and no name"},
      {R"([{"type": "function", "function": "f"}])", "tools[0] has a function that is no object, but string"},
      {R"([{"type": "function", "function": {"name": ""}}])", "tools[0] has a function without a name"},
      {"[{", "tools.json:1:3: not valid JSON"}};
  for (const auto& [tools, fault] : faults) expect_error(with(tools), 1, {"tools.json", fault});
  const auto of_chat = R"({"messages": )" + chat + R"(, "tools": [{}]})";
  expect_error(run({"render", "--model", model()}, {.input = of_chat}), 1, {"<stdin>: tools[0] has no function"});
  for (const char* none : {"null", "[]", "\"[]\""})
    expect_success(
        run({"render", "--model", model()}, {.input = R"({"messages": )" + chat + R"(, "tools": )" + none + "}"}));
  const auto as_text = R"({"messages": )" + chat + R"(, "tools": "[{\"name\": \"f\"}]"})";
  EXPECT_EQ(text_of({"render", "--template", folder_.write("t.jinja", "{{ messages[0].content }}{{ tools[0].name }}")},
                    {}, as_text),
            "af");
}

// Templates pass over what they have no branch for; a message that vanished is a loss that nobody sees.
TEST_F(TextCommand, RenderWarnsOfWhatTheTemplateLeavesOut) {
  const std::string source = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
  const Arguments render = {"render", "--template", folder_.write("t.jinja", source)};
  const auto told = [&](const std::string& chat, const Arguments& arguments) {
    const auto result = run(arguments, {.input = chat});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.err;
  };
  EXPECT_THAT(told(R"([{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}])", render),
              HasSubstr("warning: <stdin>: messages[1], of role 'tool', is not in what the chat template renders"));
  EXPECT_THAT(told(R"([{"role": "usr", "content": "a"}])", render),
              testing::AllOf(HasSubstr("messages[0] has the role 'usr', which the chat template does not name; did "
                                       "you mean user?"),
                             HasSubstr("messages[0], of role 'usr', is not in")));
  EXPECT_THAT(told(R"([{"content": "a"}])", render), HasSubstr("messages[0] has no role"));
  EXPECT_THAT(told(R"({"role": "user", "content": "a"})", render), HasSubstr("has no 'messages'"));
  EXPECT_EQ(told(R"([{"role": "user", "content": "a"}])", render), "");
  EXPECT_THAT(told(R"([{"role": 3, "content": "a"}])"
                   "\n",
                   {render[0], render[1], render[2], "--jsonl"}),
              HasSubstr("<stdin>:1: messages[0], of role '', is not in"));
  const std::string line = R"([{"role": "tool", "content": "b"}])"
                           "\n";
  const auto lines = told(line + line, {render[0], render[1], render[2], "--jsonl"});
  EXPECT_THAT(lines, HasSubstr("<stdin>:1: messages[0]"));
  EXPECT_THAT(lines, testing::Not(HasSubstr("<stdin>:2: ")));  // said once
  const std::string row = R"({"conversations": [{"from": "human", "value": "a"}]})";
  EXPECT_EQ(text_of(render, {}, row), "a");
  // A role is named by a string, not by any letters of the template.
  const auto named =
      folder_.write("named.jinja", source + "{% if messages[0].role == \"critic\" %}{% endif %}{# for users #}");
  const Arguments with_critic = {"render", "--template", named};
  EXPECT_THAT(told(R"([{"role": "for", "content": "a"}])", with_critic), HasSubstr("has the role 'for', which"));
  EXPECT_THAT(told(R"([{"role": "critic", "content": "a"}])", with_critic), testing::Not(HasSubstr("has the role")));
  EXPECT_EQ(text_of(render, {}, R"({"messages": [{"role": "user", "content": "a"}], "tools": "null"})"), "a");
}

TEST_F(TextCommand, RenderNamesTheChatAndTheTemplatesLine) {
  const auto bad = folder_.write("bad.jinja", "\n{{ messages[0].content.a.b }}");
  const std::string chat = R"([{"role": "user", "content": "a"}])";
  expect_error(run({"render", "--template", bad, folder_.write("chat.json", chat)}), 1,
               {"chat.json: the chat template rejects this conversation: ", "bad.jinja:2: "});
  const auto rows = folder_.write("rows.jsonl", chat + "\n" + chat + "\n[]\n{\"messages\": 3}\n[\n");
  const auto lines = run({"render", "--template", bad, "--jsonl", rows});
  EXPECT_EQ(lines.exit_code, 0);
  EXPECT_THAT(lines.out,
              testing::AllOf(HasSubstr("rows.jsonl:2: the chat template rejects"), HasSubstr("bad.jinja:2: "),
                             HasSubstr("rows.jsonl:3: the conversation is empty"),
                             HasSubstr("rows.jsonl:4: messages should be a list, got number"),
                             HasSubstr("rows.jsonl:5:2: not valid JSON")));
  EXPECT_THAT(lines.err, HasSubstr("5 of 5 lines could not be rendered"));
  expect_error(run({"render", "--template", folder_.write("latin.jinja", "{{ x }}\xe9")}, {.input = chat}), 1,
               {"latin.jinja: the template is not UTF-8 at byte 7"});
  expect_error(run({"render", "--template", bad, (folder_ / "none.json").string()}), 1,
               {"none.json: cannot be opened: No such file or directory"});
}

// The vocabulary's size serves one warning: where config.json says nonsense, that is said, and the text is shown.
TEST_F(TextCommand, RenderShowsItsTextBesideAWrongVocabularySize) {
  const auto folder = folder_ / "sized";
  std::filesystem::create_directories(folder);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    std::filesystem::copy_file(std::filesystem::path(model()) / name, folder / name);
  const std::string chat = R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
  const Arguments render = {"render", "--model", folder.string(), "--mask"};
  write_file_atomically(folder / "config.json", R"({"vocab_size": "many"})");
  const auto shown = run(render, {.input = chat});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.err, testing::AllOf(HasSubstr("config.json: 'vocab_size' should be a whole number above 0, got "
                                                  "\"many\""),
                                        HasSubstr("of the tokenizer instead")));
  EXPECT_THAT(run({"render", "--model", folder.string()}, {.input = chat}).err, "");
  write_file_atomically(folder / "config.json",
                        "{\"model_type\": ");  // it says how text is read, so nothing is guessed
  expect_error(run(render, {.input = chat}), 1, {"config.json:1:", "not valid JSON", "'model_type'", "hint:"});
}

// Also where the template has no marks, or leaves out the end of the turn; what is wrong is said beside it.
TEST_F(TextCommand, RenderMaskShowsWhatIsTrainedAndWarns) {
  const std::string chat = R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
  const auto shown = [&](const std::string& source, const std::string& input) {
    return run({"render", "--model", model(), "--mask", "--template", folder_.write("t.jinja", source)},
               {.input = input});
  };
  const std::string head = "{% for m in messages %}<|im_start|>{{ m.role }}\n";
  const auto plain = shown(head + "{{ m.content }}<|im_end|>\n{% endfor %}", chat);
  EXPECT_EQ(plain.out, "<|im_start|>user\na<|im_end|>\n[[<|im_start|>assistant\nb<|im_end|>\n]]");
  EXPECT_THAT(plain.err, HasSubstr("has no {% generation %} marks"));
  const auto short_marks =
      shown(head + "{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>\n{% endfor %}", chat);
  EXPECT_THAT(short_marks.out, testing::EndsWith("assistant\n[[b<|im_end|>]]\n"));
  EXPECT_THAT(short_marks.err, HasSubstr("marks leave out the token that ends"));
  const auto nothing = shown("{% generation %}{% endgeneration %}{{ messages[0].content }}", chat);
  EXPECT_THAT(nothing.err, HasSubstr("nothing is trained"));
  const auto good = run({"render", "--model", model(), "--mask"}, {.input = chat});
  EXPECT_THAT(good.err, testing::AllOf(HasSubstr("tokens, 2 trained"), testing::Not(HasSubstr("warning"))));
  expect_error(shown("{{ messages[0].content }}", R"([{"role": "user", "content": "a"}])"), 1,
               {"no assistant message"});
}

// As in transformers: what a row brings decides, not the command.
TEST_F(TextCommand, RenderTakesTheToolTemplateForRowsWithTools) {
  const auto folder = folder_ / "tools";
  std::filesystem::create_directories(folder / "additional_chat_templates");
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "config.json"})
    std::filesystem::copy_file(std::filesystem::path(model()) / name, folder / name);
  write_file_atomically(folder / "chat_template.jinja", "plain {{ messages[0].content }}");
  write_file_atomically(folder / "additional_chat_templates/tool_use.jinja",
                        "{{ messages[0].content }} with {% for tool in tools %}{{ tool.name }}{% endfor %}");
  const std::string messages = R"({"messages": [{"role": "user", "content": "a"}])";
  EXPECT_EQ(text_of({"render", "--model", folder.string()}, {}, messages + "}"), "plain a");
  EXPECT_EQ(text_of({"render", "--model", folder.string()}, {}, messages + R"(, "tools": [{"name": "f"}]})"),
            "a with f");
  EXPECT_EQ(text_of({"render", "--model", folder.string(), "--tools",
                     folder_.write("tools.json", R"([{"name": "f"}, {"type": "search"}])")},
                    {}, messages + "}"),
            "a with f");
}

}  // namespace
}  // namespace automodel::program
