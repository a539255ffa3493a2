// The benchmark recipe as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

class Benchmark : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_folder(folder_ / "model", tiny_config());
    write_file_atomically(
        folder_ / "bench.yaml",
        "recipe: BenchmarkingRecipeForNextTokenPrediction\n"
        "device: cpu\n"
        "benchmark: {warmup_steps: 1, json_output_path: " +
            (folder_ / "out.json").string() +
            "}\n"
            "model:\n"
            "  _target_: nemo_automodel.NeMoAutoModelForCausalLM.from_config\n"
            "  config: {pretrained_model_name_or_path: " +
            (folder_ / "model").string() +
            "}\n"
            "dataset:\n"
            "  _target_: nemo_automodel.components.datasets.llm.mock_iterable_dataset.MockIterableDataset\n"
            "  seq_len: 32\n"
            "step_scheduler: {global_batch_size: 4, local_batch_size: 2, max_steps: 4, num_epochs: 1}\n"
            "optimizer: {_target_: torch.optim.AdamW, lr: 1.0e-3}\n"
            "checkpoint: {enabled: false, checkpoint_dir: " +
            (folder_ / "run").string() + "}\n");
  }
  Arguments arguments(const Arguments& more) const {
    Arguments all = {"benchmark", "llm", "-c", (folder_ / "bench.yaml").string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  TemporaryFolder folder_;
};

TEST_F(Benchmark, CountsTheStepsAfterTheWarmUpAndWritesItsSummary) {
  const auto report = json_of(arguments({"--json"}));
  EXPECT_EQ(report, load_json(folder_ / "out.json"));
  EXPECT_EQ(report.at("steps"), 3);
  EXPECT_EQ(report.at("tokens_per_step"), 4 * 32);
  EXPECT_EQ(report.at("parameters"), report.at("trained_parameters"));
  EXPECT_NEAR(report.at("tokens_per_s").get<double>() * report.at("flops_per_token").get<double>(),
              report.at("tflops").get<double>() * 1e12, 1e3);
  const auto& step = report.at("step_ms");
  EXPECT_LE(step.at("min"), step.at("median"));
  EXPECT_LE(step.at("median"), step.at("p95"));
  EXPECT_LE(step.at("p95"), step.at("max"));
  const auto& memory = report.at("memory_bytes");
  EXPECT_EQ(memory.at("weights"), report.at("parameters").get<int64_t>() * 4);
  EXPECT_EQ(memory.at("optimizer"), report.at("parameters").get<int64_t>() * 8);
  EXPECT_GT(report.at("start_to_first_step_s"), report.at("first_step_s"));
  EXPECT_NE(report.at("first_loss"), report.at("last_loss"));
  const auto text = run(arguments({}));
  expect_success(text);
  EXPECT_THAT(text.out, testing::HasSubstr("tokens/s"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(Benchmark, SaysTheModelAsItWasWritten) {
  for (const auto& model : {folder_ / "model", folder_ / "model/config.json"})
    EXPECT_EQ(json_of(arguments({"--json", "--model.config", model.string()})).at("model"), model.string());
}

// On a GPU (AUTOMODEL_TEST_DEVICE=cuda) the host is measured alone; elsewhere it is the device.
TEST_F(Benchmark, MeasuresTheHostWhereItLaunchesForAnotherDevice) {
  EXPECT_TRUE(json_of(arguments({"--json"})).at("host_ms").is_null());
  EXPECT_THAT(run(arguments({})).out, testing::Not(testing::HasSubstr("host")));
  const char* device = std::getenv("AUTOMODEL_TEST_DEVICE");
  if (!device || std::string(device) != "cuda") GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: no host was timed";
  // Small steps are bound by the host: without its waits it takes about what they take.
  const auto report = json_of(arguments({"--json", "--device", "cuda", "--step_scheduler.max_steps", "20"}));
  const double host = report.at("host_ms"), step = report.at("step_ms").at("median");
  EXPECT_GT(host, 0.2 * step);
  EXPECT_LT(host, 2 * step);
}

// The loss and the norm are read when the next step is launched, by waiting for an event; nothing else may wait.
TEST_F(Benchmark, NeverWaitsForTheGpuWhileItLaunchesAStep) {
  const char* device = std::getenv("AUTOMODEL_TEST_DEVICE");
  if (!device || std::string(device) != "cuda") GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: no GPU to wait for";
  const Arguments adapters = lora({"--peft.dim", "8"});
  for (const char* dtype : {"bfloat16", "float16", "float32"})
    for (const bool with_adapters : {false, true}) {
      SCOPED_TRACE(std::string(dtype) + (with_adapters ? ", adapters" : ", all weights"));
      auto all = arguments(
          {"--json", "--profile", (folder_ / "trace.json").string(), "--device", "cuda", "--model.torch_dtype", dtype});
      if (with_adapters) all.insert(all.end(), adapters.begin(), adapters.end());
      const auto waits = json_of(all).at("profile").at("host_waits");
      EXPECT_EQ(waits.at("launching"), Json::array()) << waits.dump(1);
      // Three steps, the last of which is not read: so the profiler sees calls, and sees them where they were made.
      ASSERT_EQ(waits.at("reading").size(), 1u) << waits.dump(1);
      EXPECT_EQ(waits.at("reading").at(0).at("name"), "cudaEventSynchronize");
      EXPECT_NEAR(waits.at("reading").at(0).at("calls_a_step").get<double>(), 2.0 / 3, 1e-9);
    }
}

TEST_F(Benchmark, ProfilesFurtherStepsAsATraceAndATable) {
  const auto trace = folder_ / "trace.json";
  const auto report = json_of(arguments({"--json", "--profile", trace.string()}));
  const auto& profile = report.at("profile");
  EXPECT_EQ(profile.at("steps"), 3);
  EXPECT_LE(profile.at("busy_ms"), profile.at("span_ms"));
  double families = 0, kernels = 0, products = 0;
  for (const auto& row : profile.at("families")) {
    families += row.at("ms_a_step").get<double>();
    if (row.at("name") == "products") products = row.at("launches_a_step").get<double>();
  }
  for (const auto& row : profile.at("kernels")) kernels += row.at("ms_a_step").get<double>();
  // Each span's own time is counted once: together they are the time in which something ran.
  EXPECT_NEAR(families, kernels, 1e-6);
  EXPECT_NEAR(families * 3, profile.at("busy_ms").get<double>(), 0.01 * profile.at("busy_ms").get<double>());
  EXPECT_GT(products, 0);
  EXPECT_FALSE(load_json(trace).at("traceEvents").empty());
  const auto said = run(arguments({"--profile", trace.string()}));
  EXPECT_THAT(said.out, testing::HasSubstr("longest kernels"));
  for (const char* of_kineto : {"ERROR", "WARNING", "profiler"})  // it looks for a GPU even so
    EXPECT_THAT(said.err, testing::Not(testing::HasSubstr(of_kineto)));
}

// The summary needs no data beyond the counted steps'.
TEST_F(Benchmark, IsWholeWhereTheDataEndWithTheCountedSteps) {
  const Arguments profiled = {"--json", "--profile", (folder_ / "trace.json").string(), "--dataset.num_samples"};
  const auto with_samples = [&](const char* samples) {
    auto all = arguments(profiled);
    all.push_back(samples);
    return all;
  };
  const auto report = json_of(with_samples("16"));  // 4 steps of 4
  EXPECT_EQ(report.at("profile").at("steps"), 3);
  EXPECT_EQ(report, load_json(folder_ / "out.json"));
  expect_error(run(with_samples("12")), 1, {"dataset", "ended after 3 of 4 steps"});
}

// In fp16 a loss scale of 1e38 overflows until it has fallen; gradients that overflow at min_scale are a fault.
TEST_F(Benchmark, TellsOfStepsThatWereSkipped) {
  EXPECT_FALSE(json_of(arguments({"--json"})).contains("skipped_steps"));
  const Arguments overflowing = {"--model.torch_dtype", "float16", "--grad_scaler.init_scale", "1.0e+38"};
  auto with_json = overflowing;
  with_json.push_back("--json");
  EXPECT_EQ(json_of(arguments(with_json)).at("skipped_steps"), 4);
  const auto text = run(arguments(overflowing));
  expect_success(text);
  EXPECT_THAT(text.out, testing::HasSubstr("skipped      4 steps"));
  EXPECT_THAT(text.err, testing::HasSubstr("a step was skipped: step 0: the gradients overflow"));
  auto stopping = overflowing;
  stopping.insert(stopping.end(), {"--grad_scaler.min_scale", "1.0e+38"});
  std::filesystem::remove(folder_ / "out.json");
  expect_error(run(arguments(stopping)), 1, {"step 0"});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.json"));
  stopping.insert(stopping.end(), {"--optimizer.non_finite_gradients", "skip"});
  EXPECT_EQ((stopping.push_back("--json"), json_of(arguments(stopping)).at("skipped_steps")), 4);
}

TEST_F(Benchmark, AProfileOfAnotherRecipeIsRefused) {
  expect_error(run({"configs/quickstart.yaml", "--profile", (folder_ / "trace.json").string()}), 2,
               {"benchmark.profile_path", "belongs to the benchmark recipe"});
}

TEST_F(Benchmark, ChecksAsInertWhatItDoesNotRead) {
  Arguments all = {"check",
                   (folder_ / "bench.yaml").string(),
                   "--lr_scheduler.lr_warmup_steps",
                   "2",
                   "--clip_grad_norm.max_norm",
                   "0.5",
                   "--wandb.project",
                   "p"};
  const auto text = run(all);
  EXPECT_EQ(text.exit_code, 0) << text.out;
  for (const char* unread : {"save_consolidated", "ckpt_every_steps", "best_metric_key", "lr_decay_style"})
    EXPECT_THAT(text.out, testing::Not(testing::HasSubstr(unread))) << "a default of what is not read";
  all.push_back("--json");
  std::map<std::string, std::string> classes;
  const auto report = json_of(all);
  for (const auto& key : report.at("keys")) classes[key.at("key")] = key.at("class");
  for (const char* unread : {"checkpoint.enabled", "checkpoint.checkpoint_dir", "lr_scheduler.lr_warmup_steps",
                             "clip_grad_norm.max_norm", "wandb.project", "step_scheduler.num_epochs"})
    EXPECT_EQ(classes.at(unread), "inert") << unread;
  for (const char* read : {"optimizer.lr", "step_scheduler.max_steps", "benchmark.warmup_steps", "dataset.seq_len"})
    EXPECT_EQ(classes.at(read), "obeyed") << read;

  const auto text_of_run = run(arguments({}));
  EXPECT_THAT(text_of_run.err, testing::HasSubstr("note: checkpoint is inert: the benchmark recipe saves nothing"));
}

// The other half of NeMo AutoModel's examples: fine-tuning by its recipe, with a section that says what to measure.
class BenchmarkOfAnId : public testing::Test {
 protected:
  Arguments arguments(const std::string& id, const Arguments& more = {},
                      const std::string& dataset = "mock_iterable_dataset.MockIterableDataset, seq_len: 32") const {
    write_file_atomically(folder_ / "bench.yaml",
                          "recipe: TrainFinetuneRecipeForNextTokenPrediction\n"
                          "device: cpu\n"
                          "benchmark: {warmup_steps: 1}\n"
                          "model:\n"
                          "  _target_: nemo_automodel.NeMoAutoModelForCausalLM.from_pretrained\n"
                          "  pretrained_model_name_or_path: " +
                              id +
                              "\n"
                              "  num_hidden_layers: 2\n"
                              "  hidden_size: 32\n"
                              "  intermediate_size: 64\n"
                              "  num_attention_heads: 4\n"
                              "  num_key_value_heads: 2\n"
                              "  vocab_size: 100\n"
                              "dataset: {_target_: nemo_automodel.components.datasets.llm." +
                              dataset +
                              "}\n"
                              "step_scheduler: {global_batch_size: 2, local_batch_size: 2, max_steps: 3}\n"
                              "optimizer: {_target_: torch.optim.AdamW, lr: 1.0e-3}\n");
    Arguments all = {"benchmark", "llm", "-c", (folder_ / "bench.yaml").string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  TemporaryFolder folder_;
  std::string text_of_offline(const Arguments& all) const {
    const auto finished = run(all, offline_);
    expect_success(finished);
    return finished.out;
  }
  const Setting offline_{.environment = {{"HF_HOME", (folder_ / "hub").string()}, {"HF_HUB_OFFLINE", "1"}}};
};

TEST_F(BenchmarkOfAnId, NeedsNoHubWhereItsConfigIsBundled) {
  const auto report = json_of(arguments("meta-llama/Llama-3.1-8B", {"--json"}), offline_);
  EXPECT_EQ(report.at("model"), "meta-llama/Llama-3.1-8B");
  EXPECT_EQ(report.at("bundled_config"), true);
  EXPECT_EQ(report.at("random_weights"), true);
  // Embedding and head, 2 layers of two norms, q and o, k and v, and an mlp of three, and the last norm.
  EXPECT_EQ(report.at("parameters"), 2 * 100 * 32 + 2 * (2 * 32 + 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64) + 32);
  const auto said = run(arguments("Qwen/Qwen2.5-7B"), offline_);
  expect_success(said);
  EXPECT_THAT(said.out, testing::HasSubstr("Qwen/Qwen2.5-7B, by the config.json bundled for this id, random weights"));
  EXPECT_THAT(said.err, testing::HasSubstr("names the recipe finetune; its benchmark section is run"));

  auto config = tiny_config();
  config.erase("pad_token_id");  // outside the vocabulary of 100
  write_tiny_folder(folder_ / "model", config);
  const Arguments random = {"--json", "--model.load_base_model", "false"};
  const auto of_folder = json_of(arguments((folder_ / "model").string(), random), offline_);
  EXPECT_EQ(of_folder.at("bundled_config"), false);
}

TEST_F(BenchmarkOfAnId, TakesTheBundledConfigForNothingElse) {
  const std::string id = "meta-llama/Llama-3.1-8B";
  const std::string chats = "chat_dataset.ChatDataset, path_or_dataset_id: assets/quickstart/data/train.jsonl";
  expect_error(run(arguments(id, {"--model.revision", "abc"}), offline_), 1, {id, "HF_HUB_OFFLINE is set"});
  expect_error(run(arguments(id, {}, chats), offline_), 1, {id, "HF_HUB_OFFLINE is set"});  // needs a tokenizer
  EXPECT_THAT(run(arguments(id, {"--model.revision", "abc"}), offline_).err,
              testing::HasSubstr("the bundled one is of main"));
  const auto file = arguments(id).back();
  expect_error(run({file, "--benchmark", "None"}, offline_), 1, {id, "HF_HUB_OFFLINE is set"});  // fine-tuning
  expect_error(run({"benchmark", "llm", "-c", file, "--benchmark", "None"}, offline_), 2,
               {"recipe: is finetune", "a benchmark section"});
}

TEST_F(BenchmarkOfAnId, WrittenAlmostRightIsToldTheIdThatIsKnown) {
  expect_error(run(arguments("meta-llama/llama-3.1-8b"), offline_), 1,
               {"meta-llama/llama-3.1-8b", "HF_HUB_OFFLINE is set", "did you mean meta-llama/Llama-3.1-8B, "});
  const std::string hub = "hub/hub/models--org--Tiny_Chat-2B", commit(40, 'a');
  write_tiny_folder(folder_ / hub / "snapshots" / commit, tiny_config());
  folder_.write(hub + "/refs/main", commit);
  expect_error(run(arguments("org/tiny-chat-2b"), offline_), 1,
               {"did you mean org/Tiny_Chat-2B, which is in the cache?", "Otherwise unset HF_HUB_OFFLINE"});
  for (const char* other : {"org/tiny-chat-3b", "meta-llama/Llama-3.1-70B"})
    EXPECT_THAT(run(arguments(other), offline_).err, testing::Not(testing::HasSubstr("did you mean"))) << other;
}

TEST_F(BenchmarkOfAnId, WhoseFamilyIsMissingIsRefusedWithoutTheHub) {
  const auto typed = arguments("deepseek-ai/DeepSeek-V3");
  expect_error(
      run(typed, offline_), 3,
      {":6: model.pretrained_model_name_or_path: deepseek-ai/DeepSeek-V3 is of the family deepseek_v3, which this "
       "build lacks\n",
       "`automodel models`"});
  expect_error(run({"benchmark", "llm", "-c", typed.back(), "--model.config", "openai/gpt-oss-20b"}, offline_), 3,
               {"error: --model.config: openai/gpt-oss-20b is of the family gpt_oss, which this build lacks\n"});
  const auto check = run({"check", typed.back(), "--recipe", "benchmark"}, offline_);
  EXPECT_EQ(check.exit_code, 3) << check.out;
  EXPECT_EQ(run({"check", arguments("Qwen/Qwen2.5-7B").back(), "--recipe", "benchmark"}, offline_).exit_code, 0);
  const auto plan = json_of({"plan", typed.back(), "--recipe", "benchmark", "--json"}, offline_);
  EXPECT_EQ(plan.at("bundled_config"), true);
}

// Half of NeMo AutoModel's benchmarks name the recipe of fine-tuning: check and plan speak of the recipe that is named,
// and need no Hub for what its model's config.json tells.
TEST_F(BenchmarkOfAnId, IsPlannedAsTheRecipeThatTheFileNames) {
  const auto file = arguments("meta-llama/Llama-3.1-8B").back();
  const auto finetune = json_of({"plan", file, "--json"}, offline_),
             benchmark = json_of({"plan", file, "--recipe", "benchmark", "--json"}, offline_);
  EXPECT_EQ(finetune.at("recipe"), "finetune");
  EXPECT_EQ(benchmark.at("recipe"), "benchmark");
  for (const auto& plan : {finetune, benchmark}) EXPECT_EQ(plan.at("bundled_config"), true);
  EXPECT_EQ(finetune.at("memory_bytes"), benchmark.at("memory_bytes"));
  EXPECT_THAT(text_of_offline({"plan", file}), testing::StartsWith("recipe       finetune; --recipe benchmark plans "));
  EXPECT_THAT(text_of_offline({"plan", file, "--recipe", "benchmark"}),
              testing::StartsWith("recipe       benchmark\n"));
  EXPECT_THAT(text_of_offline({"check", file}), testing::HasSubstr("\nrecipe: finetune "));
  const auto lacking = arguments("deepseek-ai/DeepSeek-V3").back();
  for (const char* command : {"check", "plan"}) EXPECT_EQ(run({command, lacking}, offline_).exit_code, 3) << command;
}

// On the CPU a plan is held against the machine's own memory, or against the limit where there is one.
TEST_F(BenchmarkOfAnId, PlanSaysWhatItComparesWith) {
  const auto plan = [&](const Arguments& more) {
    Arguments all = {"plan", arguments("meta-llama/Llama-3.3-70B-Instruct").back(), "--recipe", "benchmark"};
    all.insert(all.end(), more.begin(), more.end());
    return text_of_offline(all);
  };
  EXPECT_THAT(plan({}), testing::ContainsRegex("\ndevice +CPU, .* of its memory are free: enough "));
  EXPECT_THAT(plan({"--model.num_hidden_layers", "80", "--model.hidden_size", "65536"}),
              testing::ContainsRegex("\ndevice +CPU, .* of its memory are free: the system may end this run "));
  const auto limited = plan({"--distributed.memory_limit_gib", "3"});
  EXPECT_THAT(limited, testing::HasSubstr("CPU, held to distributed.memory_limit_gib"));
  EXPECT_THAT(limited, testing::ContainsRegex("\nlimit +3.00 GiB: fits"));
}

// Before the model is made: no step is measured in vain.
TEST_F(Benchmark, RefusesAtOnceAFileThatItCouldNotWrite) {
  const std::string nowhere = (folder_ / "none/x.json").string(), folder = (folder_ / "model").string();
  const auto refused = [&](const char* flag, const std::string& file, const char* key, const char* why) {
    const auto finished = run(arguments({flag, file}));
    expect_error(finished, 2, {key, file, why});
    EXPECT_THAT(finished.err, testing::Not(testing::HasSubstr("parameters")));
    EXPECT_THAT(finished.err, testing::Not(testing::HasSubstr(".tmp")));
  };
  refused("--profile", nowhere, "--profile", "there is no folder");
  refused("--benchmark.json_output_path", nowhere, "benchmark.json_output_path", "there is no folder");
  refused("--benchmark.json_output_path", folder, "benchmark.json_output_path", "it is a folder");
  // Files are put in place by renaming: that would take a device's place.
  refused("--profile", "/dev/null", "--profile", "it is no ordinary file");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

// Not a word of it to who trains a small model.
TEST(BenchmarkOfALargeModel, SaysWhyItIsOnTheCpu) {
  if (on_gpu()) GTEST_SKIP() << "a GPU is here";
  const auto finished =
      run({"benchmark", "llm", "-c", "configs/benchmark/llama3_8b_lora.yaml", "--distributed.memory_limit_gib", "1"},
          {.folder = source_folder()});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, testing::HasSubstr("warning: device: auto is the CPU: "));
}

TEST_F(Benchmark, WithNothingToCountIsRefused) {
  expect_error(run(arguments({"--benchmark.warmup_steps", "4"})), 2,
               {"benchmark.warmup_steps", "none is left", "hint:"});
}

}  // namespace
}  // namespace automodel::program
