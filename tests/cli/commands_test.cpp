// Every command: results on standard output, everything else on standard error, JSON that parses, the exit code that
// was promised.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Command : public testing::Test {
 protected:
  // One run for all of them: 4 steps, 2 checkpoints.
  static const fs::path& finished_run() {
    static const TemporaryFolder folder;
    static const fs::path out = [] {
      const auto finished = run(with(write_run(folder.path()), {"--step_scheduler.ckpt_every_steps", "2"}));
      expect_success(finished);
      EXPECT_EQ(finished.out, "");
      EXPECT_THAT(finished.err,
                  HasSubstr("finished: 4 steps; the model lies in " + (folder / "out/epoch_0_step_3/model").string()));
      return folder / "out";
    }();
    return out;
  }
  static std::string config() { return (finished_run().parent_path() / "run.yaml").string(); }
  static std::string model() { return tiny_base().string(); }

  TemporaryFolder folder_;
};

TEST_F(Command, WithoutArgumentsSaysHowToUseIt) {
  const auto finished = run({});
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_THAT(finished.err, HasSubstr("automodel CONFIG.yaml"));
}

TEST_F(Command, UnknownOnesNameTheNearest) {
  expect_error(run({"tokenise"}), 2, {"tokenise", "did you mean tokenize", "hint:"});
  expect_error(run({"nothing_like_it"}), 2, {"nothing_like_it", "hint:"});
  expect_error(run({"checkpoint", "mirge"}), 2,
               {"expected info, verify, consolidate, merge, got 'mirge'", "did you mean merge"});
  expect_error(run({"checkpoint"}), 2, {"expected info, verify, consolidate, merge, got nothing"});
}

TEST_F(Command, AMistypedFlagOfARunIsNamed) {
  expect_error(run({"benchmark", "llm", "-c", config(), "--profil", "t.json"}), 2,
               {"--profil: is no flag and no key; did you mean --profile?", "hint:"});
  expect_error(run({"plan", config(), "--jsn"}), 2, {"--jsn", "did you mean --json?"});
  expect_error(run({config(), "--nproc_per_node=2"}), 2, {"--nproc_per_node", "did you mean --nproc-per-node?"});
  expect_error(run({config(), "--nproc-per-node=2"}), 3, {"--nproc-per-node", "is 2"});
  expect_error(run({config(), "--devise", "cpu"}), 2, {"--devise", "did you mean device?"});
}

TEST_F(Command, MissingAndUnknownArgumentsAreErrors) {
  expect_error(run({"check"}), 2, {"expected a CONFIG.yaml", "hint:"});
  expect_error(run({"--bogus"}), 2, {"expected a CONFIG.yaml"});
  expect_error(run({"finetune", "-c", config()}), 2, {"expected llm or vlm"});
  expect_error(run({"tokenize"}), 2, {"--model", "hint:"});
  expect_error(run({"score", "--model", model()}), 2, {"--batch"});
  expect_error(run({"generate", "--model", model(), "--prompt", "a", "--max-new-tokens", "many"}), 2,
               {"--max-new-tokens", "many"});
  expect_error(run({"models", "--jsn"}), 2, {"--jsn"});
  expect_error(run({"compare"}), 2, {"RUN"});
  expect_error(run({"data", config(), "--n", "none"}), 2, {"--n", "none"});
  expect_error(run({"plan", config(), "--n", "2"}), 2, {"--n", "automodel data"});
}

TEST_F(Command, VersionAndModels) {
  text_of({"version"}, {"automodel 0.", "libtorch 2.11.0"});
  text_of({"--version"}, {"automodel 0."});
  EXPECT_EQ(json_of({"version", "--json"}).at("libtorch"), "2.11.0");
  text_of({"models"}, {"llama", "qwen3", "gpt2", "Gemma3ForCausalLM"});
  std::vector<std::string> families;
  for (const auto& family : json_of({"models", "--json"})) families.push_back(family.at("model_type"));
  EXPECT_THAT(families,
              testing::IsSupersetOf({"llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3_text", "gpt2"}));
}

TEST_F(Command, CheckPrintsTheConfigAsItTakesEffectAndExitsWithItsClass) {
  text_of({"check", config()}, {"obeyed", "lr: 0.001", "# line", "# default"});
  text_of({"check", config(), "--optimizer.lr", "0.5"}, {"lr: 0.5", "command line"});
  const auto report = json_of({"check", config(), "--json"});
  EXPECT_EQ(report.at("exit_code"), 0);

  const auto lacking = run({"check", config(), "--json", "--distributed.tp_size", "2"});
  EXPECT_EQ(lacking.exit_code, 3) << lacking.out;
  EXPECT_EQ(parse_json(lacking.out, "report").at("exit_code"), 3);
  const auto invalid = run({"check", config(), "--json", "--optimizer.lrr", "1"});
  EXPECT_EQ(invalid.exit_code, 2);
  EXPECT_THAT(parse_json(invalid.out, "report").at("errors").dump(), HasSubstr("did you mean lr"));
  EXPECT_EQ(invalid.err, "");
}

TEST_F(Command, WhatThisBuildLacksIsRefusedAtStartWithCode3) {
  expect_error(run({config(), "--distributed.tp_size", "2"}), 3, {"distributed", "hint:"});
  expect_error(run({config(), "--nproc-per-node", "2"}), 3, {"--nproc-per-node", "hint:"});
  expect_error(run({"score", "--model", model(), "--batch", "b", "--device", "cuda"}), 3, {"--device", "cuda"});
}

TEST_F(Command, MessagesNameWhatWasTyped) {
  fs::create_directories(folder_ / "empty");
  const auto empty = (folder_ / "empty").string();
  expect_error(run({"score", "--model", empty, "--batch", "b"}), 2, {"--model: '" + empty + "' has no config.json"});
  expect_error(run({"generate", "--model", model(), "--prompt", "a", "--dtype", "float7"}), 2,
               {"--dtype: expected auto, float32, bfloat16 or float16, got 'float7'"});
  expect_error(run({"data", config(), "--model.pretrained_model_name_or_path", empty}), 2,
               {"model.pretrained_model_name_or_path"});
}

// Also where only the run itself finds the fault.
TEST_F(Command, MessagesNameWhereAKeyWasGiven) {
  const Arguments odd = {"--peft._target_", "lora", "--peft.target_modules", "x_proj"};
  auto plan = with(config(), odd);
  plan.insert(plan.begin(), "plan");
  for (const auto& typed : {with(config(), odd), plan})
    expect_error(run(typed), 2, {"error: --peft.target_modules: 'x_proj' matches no linear", "hint:"});
  expect_error(run({config(), "--device", "cuda"}), 3, {"error: --device: no GPU can be used", "hint:"});
  const auto file = folder_ / "run.yaml";
  const auto text = read_file(config()) + "device: cuda\n";
  write_file_atomically(file, text);
  const auto line = std::count(text.begin(), text.end(), '\n');
  expect_error(run({file.string()}), 3,
               {"error: " + file.string() + ":" + std::to_string(line) + ": device: no GPU can be used"});
}

TEST_F(Command, AnUnknownTopLevelKeyIsAnsweredWithAllThatThereAre) {
  const auto finished = run({config(), "--optimiser.lr", "1"});
  expect_error(finished, 2,
               {"optimiser: unknown key; did you mean optimizer", "clip_grad_norm", "dataset", "peft", "step_scheduler",
                "validation_dataset", "wandb"});
  EXPECT_THAT(finished.err, testing::Not(HasSubstr("...")));
}

TEST_F(Command, ConsolidateWaitsForShardedCheckpoints) {
  expect_error(run({"checkpoint", "consolidate", finished_run().string(), "--out", (folder_ / "out").string()}), 3,
               {"checkpoint consolidate", "nothing to join", "hint:"});
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(Command, CheckReadsTheConfigOfAModelThatLiesHere) {
  const Arguments lora = {"--peft._target_", "nemo_automodel.components._peft.lora.PeftConfig"};
  const auto check = [&](const Arguments& more) {
    Arguments all = {"check", config(), "--json"};
    all.insert(all.end(), lora.begin(), lora.end()), all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  EXPECT_EQ(check({}).exit_code, 0);
  EXPECT_EQ(check({"--peft.target_modules", "['q_proj', '*.mlp.*']"}).exit_code, 0);
  const auto wrong = check({"--peft.target_modules", "['q_proj', 'query']"});
  EXPECT_EQ(wrong.exit_code, 2);
  const auto error = parse_json(wrong.out, "report").at("errors").at(0);
  EXPECT_EQ(error.at("key"), "peft.target_modules");
  EXPECT_EQ(error.at("error"), "'query' matches no linear of the model");
  EXPECT_THAT(error.at("hint").get<std::string>(), HasSubstr("q_proj, k_proj"));

  auto json = load_json(fs::path(model()) / "config.json");
  json["attention_dropout"] = 1.5;
  fs::copy(model(), folder_ / "model");
  write_file_atomically(folder_ / "model/config.json", json.dump());
  const auto out_of_range = check({"--model.pretrained_model_name_or_path", (folder_ / "model").string()});
  EXPECT_EQ(out_of_range.exit_code, 2);
  EXPECT_THAT(out_of_range.out, HasSubstr("attention_dropout: expected a number from 0 to below 1, got 1.5"));
}

TEST_F(Command, CheckTakesTheFileOfAModelsConfigToo) {
  const fs::path benchmarks = fs::path(AUTOMODEL_SOURCE_DIR) / "configs/benchmark";
  const auto check = [&](const fs::path& config) {
    return run({"check", (benchmarks / "llama3_8b_lora.yaml").string(), "--model.config", config.string()});
  };
  EXPECT_EQ(check(benchmarks / "models/qwen3-8b/config.json").exit_code, 0);
  EXPECT_EQ(check(benchmarks / "models/qwen3-8b").exit_code, 0);
  EXPECT_EQ(check(benchmarks / "models/qwen3-8b/none.json").exit_code, 2);
  EXPECT_EQ(check(benchmarks / "models/none/config.json").exit_code, 3);
}

TEST_F(Command, PlanReadsNoWeights) {
  text_of({"plan", config()}, {"parameters", "memory", "tokens a step", "steps"});
  const auto plan = json_of({"plan", config(), "--json"});
  EXPECT_EQ(plan.at("parameters"),
            149696);  // 4096 x 32 + 2 (2 x 32 + 2 x 8 + 32 x (32 + 16 + 16 + 32) + 3 x 32 x 64) + 32
  EXPECT_EQ(plan.at("memory_bytes").at("weights"), 149696 * 4);
  EXPECT_EQ(plan.at("memory_bytes").at("optimizer"), 149696 * 8);
  EXPECT_EQ(plan.at("total_steps"), 4);

  fs::copy(tiny_base(), folder_ / "model");
  fs::remove(folder_ / "model/model.safetensors");
  text_of({"plan", config(), "--model.pretrained_model_name_or_path", (folder_ / "model").string()}, {"memory"});
}

TEST_F(Command, ScoreGivesLossAndLogProbabilities) {
  const auto batch = folder_.write("b.json", R"({"documents": [{"input_ids": [5, 6, 7, 8]}, {"input_ids": [9, 10]}]})");
  const auto scored = json_of({"score", "--model", model(), "--batch", batch});
  EXPECT_EQ(scored.at("tokens"), 6);
  EXPECT_EQ(scored.at("trained_tokens"), 4);
  double sum = 0;
  for (const auto& document : scored.at("documents"))
    for (const auto& value : document.at("log_probs"))
      if (value.is_number()) sum -= value.get<double>();
  EXPECT_NEAR(scored.at("loss").get<double>(), sum / 4, 1e-6);
  EXPECT_TRUE(scored.at("documents")[1].at("log_probs").back().is_null());

  // The log-probabilities are those of the logits.
  json_of({"score", "--model", model(), "--batch", batch, "--logits", (folder_ / "l").string(), "--grads",
           (folder_ / "g").string()});
  const auto row = read_logits(folder_ / "l").at(1);
  double total = 0;
  for (const float logit : row) total += std::exp(static_cast<double>(logit));
  EXPECT_NEAR(scored.at("documents")[0].at("log_probs")[1].get<double>(), row.at(7) - std::log(total), 1e-5);
  EXPECT_GT(fs::file_size(folder_ / "g"), 149696 * 4);

  const auto refuse = [&](const std::string& text, const std::vector<std::string>& words) {
    expect_error(run({"score", "--model", model(), "--batch", folder_.write("bad.json", text)}), 1, words);
  };
  refuse("{", {"bad.json:1:", "not valid JSON"});
  refuse("[]", {"bad.json", "documents"});
  refuse(R"({"documents": []})", {"no documents"});
  refuse(R"({"documents": [{"input_ids": []}]})", {"bad.json"});
  refuse(R"({"documents": [{"input_ids": [1, 4096]}]})", {"document 0", "4096", "vocabulary"});
  refuse(R"({"documents": [{"input_ids": [1, 2], "labels": [2]}]})", {"document 0", "labels"});
  refuse(R"({"documents": [{"input_ids": [1, 2], "labels": [4096, -100]}]})", {"document 0", "4096"});
  refuse(R"({"documents": [{"input_ids": [1, 2], "labels": [-100, -100]}]})", {"no trained token"});
}

TEST_F(Command, ScoreRefusesKeysThatItDoesNotKnow) {
  const auto batch = folder_.write("lables.json", R"({"documents": [{"input_ids": [1, 2], "lables": [1, 2]}]})");
  expect_error(run({"score", "--model", model(), "--batch", batch}), 1, {"lables", "labels"});
}

TEST_F(Command, GenerateStreamsTextOrGivesJson) {
  const auto text = text_of({"generate", "--model", model(), "--prompt", "Natalia", "--max-new-tokens", "4"}, {});
  const auto json = json_of({"generate", "--model", model(), "--prompt", "Natalia", "--max-new-tokens", "4", "--json"});
  EXPECT_EQ(json.at("text").get<std::string>() + "\n", text);
  const auto chat = folder_.write("chat.json", R"([{"role": "user", "content": "a"}])");
  EXPECT_GT(json_of({"generate", "--model", model(), "--chat", chat, "--max-new-tokens", "2", "--json"})
                .at("prompt_tokens")
                .get<int>(),
            5);
  const auto drawn = [&](const std::string& seed) {
    return json_of({"generate", "--model", model(), "--prompt", "a", "--max-new-tokens", "8", "--temperature", "1",
                    "--seed", seed, "--json"})
        .at("ids");
  };
  EXPECT_EQ(drawn("1"), drawn("1"));
  EXPECT_NE(drawn("1"), drawn("2"));
  expect_error(run({"generate", "--model", model()}), 2, {"--prompt", "--chat"});
  expect_error(run({"generate", "--model", model(), "--prompt", "a", "--top-p", "2"}), 2, {"--top-p"});
  expect_error(run({"generate", "--model", model(), "--prompt", "a", "--top-k", "-3"}), 2, {"--top-k"});
  expect_error(run({"generate", "--model", model(), "--prompt", "a", "--temperature", "nan"}), 2, {"--temperature"});
}

TEST_F(Command, CheckpointInfoAndVerifyLookAtWhatWasSaved) {
  const auto info = json_of({"checkpoint", "info", finished_run().string(), "--json"});
  EXPECT_EQ(info.at("kind"), "run");
  EXPECT_EQ(info.at("checkpoints").size(), 2u);
  EXPECT_EQ(info.at("latest"), "epoch_0_step_3");
  EXPECT_EQ(json_of({"checkpoint", "info", model()}).at("parameters"), 149696);
  text_of({"checkpoint", "verify", finished_run().string()}, {"whole"});
  EXPECT_EQ(json_of({"checkpoint", "verify", (finished_run() / "LATEST").string(), "--json"}).at("ok"), true);

  // One bit of one weight.
  fs::copy(finished_run(), folder_ / "run", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const fs::path weights = folder_ / "run/epoch_0_step_3/model/model.safetensors";
  auto bytes = read_file(weights);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  write_file_atomically(weights, bytes);
  const auto harmed = run({"checkpoint", "verify", (folder_ / "run").string()});
  EXPECT_EQ(harmed.exit_code, 1);
  EXPECT_THAT(harmed.out, testing::AllOf(HasSubstr("fault: "), HasSubstr("epoch_0_step_3/model/model.safetensors")));
  const auto json = run({"checkpoint", "verify", (folder_ / "run").string(), "--json"});
  EXPECT_EQ(parse_json(json.out, "report").at("ok"), false);
  EXPECT_EQ(json.exit_code, 1);
}

TEST_F(Command, AFolderThatIsNoRunIsRefused) {
  fs::create_directories(folder_ / "empty");
  for (const char* action : {"info", "verify"}) {
    expect_error(run({"checkpoint", action, (folder_ / "empty").string()}), 1, {(folder_ / "empty").string()});
    expect_error(run({"checkpoint", action, (folder_ / "none").string()}), 1,
                 {(folder_ / "none").string(), "does not exist"});
  }
  expect_error(run({"checkpoint", "merge", (folder_ / "none").string(), "--out", (folder_ / "out").string()}), 1,
               {(folder_ / "none").string()});
  expect_error(run({"compare", (folder_ / "empty").string(), finished_run().string()}), 1, {"is no run", "hint:"});
}

TEST_F(Command, ComparePutsRunsSideBySide) {
  text_of({"compare", finished_run().string(), finished_run().string()}, {"bit for bit", "over 4 steps", "1.00x"});
  const auto report =
      json_of({"compare", finished_run().string(), (finished_run() / "training.jsonl").string(), "--json"});
  EXPECT_EQ(report.at("compared")[0].at("equal"), true);
  EXPECT_EQ(report.at("rows").size(), 4u);
}

TEST_F(Command, TheOlderSpellingRunsTheSame) {
  expect_success(run({"finetune", "llm", "-c", config(), "--checkpoint.checkpoint_dir", (folder_ / "older").string(),
                      "--step_scheduler.ckpt_every_steps", "2"}));
  EXPECT_EQ(steps_of(folder_ / "older"), steps_of(finished_run()));
}

TEST_F(Command, TheOlderSpellingMustNameTheRecipeOfTheFile) {
  for (const char* verb : {"kd", "benchmark"})
    expect_error(run({verb, "llm", "-c", config()}), 2, {"recipe", "finetune", verb, "hint:"});
  expect_error(run({"finetune", "vlm", "-c", config()}), 2, {"vlm_finetune"});
}

TEST_F(Command, AFullStandardOutputIsAnError) {
  const auto finished = run({"-c", "'" + binary() + "' models > /dev/full"}, {}, "/bin/sh");
  expect_error(finished, 1, {"standard output", "cannot be written"});
}

}  // namespace
}  // namespace automodel::program
