// generate, score, merge: what they take and what they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ModelCommand : public testing::Test {
 protected:
  // A copy of the tiny model, to be changed.
  std::string copy_model() {
    fs::copy(tiny_base(), folder_ / "model");
    return (folder_ / "model").string();
  }
  Arguments generate(const std::string& model, const Arguments& more) {
    Arguments all = {"generate", "--model", model, "--max-new-tokens", "1", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  TemporaryFolder folder_;
};

// The prompt is what render shows with the same option, also when the chat itself asks for it.
TEST_F(ModelCommand, GenerateGoesOnWithTheLastMessage) {
  const auto model = tiny_base().string();
  const std::string messages = R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "It is"}])";
  const auto chat = folder_.write("chat.json", messages);
  const auto asking = folder_.write("asking.json", R"({"continue_final_message": true, "messages": )" + messages + "}");
  const auto prompt_tokens = [&](const Arguments& more) {
    return json_of(generate(model, more)).at("prompt_tokens").get<size_t>();
  };
  const auto open = json_of({"render", "--model", model, "--continue-final-message", "--ids", chat}).size();
  EXPECT_EQ(prompt_tokens({"--chat", chat, "--continue-final-message"}), open);
  EXPECT_EQ(prompt_tokens({"--chat", asking}), open);
  const auto begun = run(generate(model, {"--chat", chat}));
  EXPECT_GT(parse_json(begun.out, "out").at("prompt_tokens").get<size_t>(), open);
  EXPECT_THAT(begun.err, HasSubstr("--continue-final-message goes on with it"));
  expect_error(run(generate(model, {"--prompt", "a", "--continue-final-message"})), 2, {"--continue-final-message"});
  expect_error(run(generate(model, {"--prompt", "a\xe9"})), 2, {"--prompt: not UTF-8 at byte 1"});
}

TEST_F(ModelCommand, GenerateTakesTheTemplateThatRenderTakes) {
  const auto model = copy_model();
  fs::remove(folder_ / "model/chat_template.jinja");
  auto config = load_json(folder_ / "model/tokenizer_config.json");
  const std::string messages = R"({"messages": [{"role": "user", "content": "a"}])";
  const auto plain = folder_.write("plain.json", messages + "}");
  const auto tools = folder_.write("tools.json", messages + R"(, "tools": [{"name": "f"}]})");
  const auto prompt_tokens = [&](const std::string& chat) {
    return json_of(generate(model, {"--chat", chat})).at("prompt_tokens").get<size_t>();
  };
  const auto rendered = [&](const std::string& chat) {
    return json_of({"render", "--model", model, "--add-generation-prompt", "--ids", chat}).size();
  };
  const Json tool_use = {{"name", "tool_use"}, {"template", "tools tools tools {{ tools | length }}"}};
  config["chat_template"] = Json::array({{{"name", "default"}, {"template", "d"}}, tool_use});
  folder_.write("model/tokenizer_config.json", config.dump());
  EXPECT_EQ(prompt_tokens(plain), rendered(plain));
  EXPECT_EQ(prompt_tokens(tools), rendered(tools));
  EXPECT_NE(prompt_tokens(plain), prompt_tokens(tools));

  config["chat_template"] = Json::array({tool_use});
  folder_.write("model/tokenizer_config.json", config.dump());
  EXPECT_EQ(prompt_tokens(tools), rendered(tools));
  expect_error(run(generate(model, {"--chat", plain})), 1, {plain, "has no tools", "with tools only"});
  config.erase("chat_template");
  folder_.write("model/tokenizer_config.json", config.dump());
  expect_error(run(generate(model, {"--chat", tools})), 1, {model, "has no chat template", "--prompt"});
}

TEST_F(ModelCommand, GenerateRefusesWhatIsNoConversation) {
  const auto refuse = [&](const std::string& text, const std::string& words) {
    const auto chat = folder_.write("chat.json", text);
    expect_error(run(generate(tiny_base().string(), {"--chat", chat})), 1, {"error: " + chat, words});
  };
  refuse(R"({"foo": 1})", "expected a list 'messages'");
  refuse("[]", "the conversation is empty");
  refuse("3", "expected a list of messages");
  refuse(R"([{"role": "user", "content": "a"}, {"role": "nobody"}])", "'nobody' is no role");
  refuse(R"({"messages": [{"role": "user", "content": "a"}], "tools": 5})", "tools should be a list");
}

TEST_F(ModelCommand, AGenerationConfigThatIsNoObjectIsNamed) {
  const auto model = copy_model();
  const auto file = folder_.write("model/generation_config.json", "[1]");
  expect_error(run(generate(model, {"--prompt", "a"})), 1, {file, "expected an object, got array"});
}

// A limit on the size of files stands for a full disk.
TEST_F(ModelCommand, ScoreKeepsTheOldFileWhenTheNewOneCannotBeWritten) {
  const auto batch = folder_.write("b.json", R"({"documents": [{"input_ids": [5, 6, 7, 8]}]})");
  const std::string score = "'" + binary() + "' score --model '" + tiny_base().string() + "' --batch '" + batch + "'";
  for (const std::string option : {"--logits", "--grads"}) {
    const auto file = folder_.write("out/old", "old");
    expect_error(run({"-c", "trap '' XFSZ; ulimit -f 8; " + score + " " + option + " '" + file + "'"}, {}, "/bin/sh"),
                 1, {file, "cannot be written"});
    EXPECT_EQ(read_file(file), "old");
    EXPECT_EQ(names_in(folder_ / "out"), std::vector<std::string>{"old"});
    expect_success(run({"-c", score + " " + option + " '" + file + "'"}, {}, "/bin/sh"));
    EXPECT_GT(fs::file_size(file), 4 * 4096u);
    EXPECT_EQ(names_in(folder_ / "out"), std::vector<std::string>{"old"});
    expect_success(run({"-c", score + " " + option + " /dev/null"}, {}, "/bin/sh"));
  }
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

// A run of 2 steps with a checkpoint after each.
fs::path make_run(const fs::path& folder, const Arguments& more) {
  Arguments overrides = {"--step_scheduler.max_steps", "2", "--step_scheduler.ckpt_every_steps", "1"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  expect_success(run(with(write_run(folder), overrides)));
  return folder / "out";
}

TEST_F(ModelCommand, ARunStandsForItsNewestWholeCheckpoint) {
  const auto lora = make_run(folder_.path(), {"--peft._target_", "nemo_automodel.components._peft.lora.PeftConfig",
                                              "--peft.match_all_linear", "true"});
  const auto batch = folder_.write("b.json", R"({"documents": [{"input_ids": [5, 6, 7, 8]}]})");
  const auto loss = [&](const Arguments& model) {
    Arguments all = {"score", "--batch", batch};
    all.insert(all.end(), model.begin(), model.end());
    const auto scored = run(all);
    EXPECT_EQ(scored.exit_code, 0) << scored.err;
    return parse_json(scored.out, "report").at("loss").get<double>();
  };
  const double newest = loss({"--model", (lora / "epoch_0_step_1/model").string()});
  const double older = loss({"--model", (lora / "epoch_0_step_0/model").string()});
  EXPECT_NE(newest, older);
  EXPECT_EQ(loss({"--model", lora.string()}), newest);
  EXPECT_EQ(loss({"--model", tiny_base().string(), "--lora", lora.string()}), newest);

  fs::remove(lora / "LATEST");
  EXPECT_EQ(loss({"--model", lora.string()}), newest);
  EXPECT_EQ(loss({"--model", tiny_base().string(), "--lora", lora.string()}), newest);
  fs::create_directory_symlink("epoch_0_step_1", lora / "LATEST");
  fs::remove(lora / "epoch_0_step_1/model/adapter_model.safetensors");
  EXPECT_EQ(loss({"--model", lora.string()}), older);
  const auto merged = folder_ / "merged";
  const auto report = run({"checkpoint", "merge", lora.string(), "--out", merged.string(), "--json"});
  EXPECT_EQ(report.exit_code, 0) << report.err;
  EXPECT_EQ(parse_json(report.out, "report").at("path"), merged.string());
  EXPECT_NEAR(loss({"--model", merged.string()}), older, 1e-5);

  fs::remove(lora / "epoch_0_step_0/manifest.json");
  const auto none = run({"score", "--batch", batch, "--model", lora.string()});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("holds no whole checkpoint"));
  expect_error(run({"score", "--batch", batch, "--model", tiny_base().string(), "--lora", tiny_base().string()}), 1,
               {tiny_base().string(), "holds no adapter"});
}

TEST_F(ModelCommand, ACheckpointWithoutAModelFolderSaysWhy) {
  const auto out = make_run(folder_.path(), {"--checkpoint.save_consolidated", "false"});
  for (const auto& given : {out, out / "epoch_0_step_0"})
    expect_error(run(generate(given.string(), {"--prompt", "a"})), 1,
                 {"this checkpoint has no model/ (checkpoint.save_consolidated: false)", "hint:"});
}

}  // namespace
}  // namespace automodel::program
