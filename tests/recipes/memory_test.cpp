// Recomputation and memory as a user meets them: what plan tells, what auto takes, what is refused before weights are
// read. On the CPU a limit stands for what a GPU has free.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;

class Memory : public testing::Test {
 protected:
  void SetUp() override { yaml_ = write_run(folder_.path()).string(); }

  // Packs are of a known length. Without `limit` there is none.
  Arguments arguments(const std::string& choice, std::optional<double> limit, Arguments first = {}) const {
    first.insert(first.end(), {yaml_, "--packed_sequence.packed_sequence_size", "256", "--step_scheduler.max_steps",
                               "2", "--distributed.activation_checkpointing", choice});
    if (limit) first.insert(first.end(), {"--distributed.memory_limit_gib", std::to_string(*limit / kGib)});
    return first;
  }
  double total_of(const std::string& choice) const {
    return json_of(arguments("false", {}, {"plan", "--json"})).at("choices").at(choice).at("total").get<double>();
  }

  TemporaryFolder folder_;
  std::string yaml_;
};

TEST_F(Memory, IsPlannedForEachChoice) {
  const auto plan = json_of(arguments("selective", {}, {"plan", "--json"}));
  EXPECT_EQ(plan.at("activation_checkpointing"), "selective");
  EXPECT_EQ(plan.at("largest_microbatch_tokens"), 512);
  const auto& choices = plan.at("choices");
  EXPECT_EQ(choices.at("none").at("relative_time"), 1);
  for (const auto& [small, large] : {std::pair{"full", "selective"}, std::pair{"selective", "none"}}) {
    EXPECT_LT(choices.at(small).at("activations"), choices.at(large).at("activations"));
    EXPECT_GT(choices.at(small).at("relative_time"), 1);
    // On a GPU a layer as narrow as these runs again whole in less time than its norms take to be read and written.
    if (plan.at("device") == "cpu") {
      EXPECT_GT(choices.at(small).at("relative_time"), choices.at(large).at("relative_time"));
    }
  }
  EXPECT_EQ(plan.at("memory_bytes").at("total"), choices.at("selective").at("total"));
  EXPECT_THAT(run(arguments("full", {}, {"plan"})).out, testing::HasSubstr("recompute *   full"));
}

TEST_F(Memory, AutoTakesTheFastestThatFitsAndChangesNoBit) {
  const double none = total_of("none"), selective = total_of("selective"), full = total_of("full");
  const auto told = [&](std::optional<double> limit) {
    const auto ended = run(arguments("auto", limit));
    expect_success(ended);
    const auto steps = steps_of(folder_ / "out");
    std::filesystem::remove_all(folder_ / "out");
    EXPECT_EQ(steps.size(), 2u);
    return std::pair{ended.err + ended.out, steps};
  };
  const auto [unlimited, plain] = told({});
  const auto choices = json_of(arguments("false", {}, {"plan", "--json"}));
  const bool gpu = choices.at("device") == "cuda";
  EXPECT_THAT(unlimited, testing::HasSubstr(gpu ? "auto is none: microbatches of 512" : "auto is none on the CPU"));
  const auto time = [&](const char* choice) { return choices.at("choices").at(choice).at("relative_time"); };
  const char* second = gpu && time("full") < time("selective") ? "full" : "selective";
  for (const auto& [limit, choice] : {std::pair{none * 1.01, "none"}, std::pair{(none + selective) / 2, second},
                                      std::pair{(selective + full) / 2, "full"}}) {
    const auto [text, steps] = told(limit);
    EXPECT_THAT(
        text, testing::HasSubstr(std::string("activation_checkpointing: auto is ") + choice + ": microbatches of 512"));
    EXPECT_EQ(steps, plain) << choice;
    EXPECT_EQ(json_of(arguments("auto", limit, {"plan", "--json"})).at("activation_checkpointing"), choice);
  }
}

TEST_F(Memory, ThatDoesNotSufficeIsRefusedWithWhatWouldFit) {
  const double none = total_of("none"), selective = total_of("selective"), full = total_of("full");
  const auto refusal = [&](const std::string& choice, double limit) {
    const auto ended = run(arguments(choice, limit));
    EXPECT_EQ(ended.exit_code, 1);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
    return ended.err;
  };
  const auto almost = refusal("false", (none + selective) / 2);
  EXPECT_THAT(almost,
              testing::AllOf(testing::HasSubstr("are needed"), testing::HasSubstr("activations"),
                             testing::HasSubstr("one of these fits: distributed.activation_checkpointing: selective ("),
                             testing::HasSubstr("step_scheduler.local_batch_size: 1 ("),
                             testing::HasSubstr("packed_sequence.packed_sequence_size: ")));
  EXPECT_THAT(refusal("auto", full * 0.99), testing::HasSubstr("(activation_checkpointing: full)"));
  // Where the rows decide how long a microbatch is, only what is kept whatever comes is held against the limit.
  EXPECT_THAT(run({yaml_, "--distributed.memory_limit_gib", "0.000001"}).err,
              testing::AllOf(testing::HasSubstr("are needed"), testing::Not(testing::HasSubstr("microbatch of"))));
}

// Whatever is advised is not set yet and makes it less; where nothing of that suffices, the message says what is in the
// way: the weights, what is kept from step to step, or the length.
TEST_F(Memory, AdviceNamesOnlyWhatWouldHelp) {
  using testing::AllOf, testing::HasSubstr, testing::Not;
  const auto kept = json_of(arguments("full", {}, {"plan", "--json"})).at("memory_bytes");
  const double weights = kept.at("weights"), gradients = kept.at("gradients");
  const auto told = [&](const std::string& choice, double limit, const Arguments& more = {}) {
    auto all = arguments(choice, limit);
    all.insert(all.end(), more.begin(), more.end());
    const auto refused = run(all);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_THAT(refused.err,
                AllOf(HasSubstr(" are needed, distributed.memory_limit_gib allows "), Not(HasSubstr("are free"))));
    const auto planned = json_of([&] {
      auto plan = all;
      plan.insert(plan.begin(), {"plan", "--json"});
      return plan;
    }());
    const auto advice = planned.at("advice").get<std::string>();
    EXPECT_THAT(refused.err, HasSubstr("hint: " + advice));
    return advice;
  };
  const auto no_weights = told("false", weights / 2);
  EXPECT_THAT(no_weights,
              AllOf(HasSubstr("together take"), HasSubstr("which is still too much: the weights alone take "),
                    HasSubstr("raise distributed.memory_limit_gib, or take a smaller model"), Not(HasSubstr("shorter")),
                    Not(HasSubstr("peft:"))));
  const auto no_states = told("false", weights + gradients);
  EXPECT_THAT(no_states,
              AllOf(HasSubstr("optimizer.state_dtype: bfloat16"), HasSubstr("do not depend on the batch (weights "),
                    HasSubstr("(peft:)"), Not(HasSubstr("sequences"))));
  // All is set that could be: nothing of it is advised again.
  const Arguments least = {"--step_scheduler.local_batch_size", "1", "--optimizer.state_dtype", "bfloat16"};
  const auto nothing_left = told("full", weights + gradients, least);
  EXPECT_THAT(nothing_left,
              AllOf(HasSubstr(" of it do not depend on the batch"), Not(HasSubstr("activation_checkpointing")),
                    Not(HasSubstr("local_batch_size")), Not(HasSubstr("state_dtype"))));
  EXPECT_THAT(told("full", weights + gradients, lora()), Not(HasSubstr("peft:")));
}

// plan holds the memory against the same limit and advises what the refusal does.
TEST_F(Memory, IsHeldAgainstALimitByThePlanToo) {
  const double none = total_of("none"), selective = total_of("selective"), limit = (none + selective) / 2;
  const auto fits = json_of(arguments("false", none * 2, {"plan", "--json"}));
  EXPECT_EQ(fits.at("fits"), true);
  EXPECT_TRUE(fits.at("advice").is_null());
  EXPECT_THAT(run(arguments("false", none * 2, {"plan"})).out,
              testing::ContainsRegex("\nlimit  .*: fits, .* are left"));
  EXPECT_TRUE(json_of(arguments("false", {}, {"plan", "--json", "--device", "cpu"})).at("fits").is_null());

  const auto too_much = json_of(arguments("false", limit, {"plan", "--json"}));
  EXPECT_EQ(too_much.at("fits"), false);
  EXPECT_THAT(run(arguments("false", limit)).err, testing::HasSubstr(too_much.at("advice").get<std::string>()));
  EXPECT_THAT(run(arguments("false", limit, {"plan"})).out,
              testing::AllOf(testing::ContainsRegex("\nlimit  .*: does not fit: one of these fits: "),
                             testing::HasSubstr(too_much.at("advice").get<std::string>())));
  // Where rows decide the length, the longest of those looked at counts.
  EXPECT_THAT(run({"plan", yaml_, "--distributed.memory_limit_gib", "0.000001"}).out,
              testing::HasSubstr("does not fit, by the longest of 60 rows: "));
}

// A GPU need not be there to be counted for.
TEST_F(Memory, IsCountedForTheDeviceThatIsAskedFor) {
  const auto on = [&](const std::string& device, std::optional<double> limit, const std::string& choice) {
    auto all = arguments(choice, limit, {"plan", "--json"});
    all.insert(all.end(), {"--device", device});
    return json_of(all);
  };
  const auto cpu = on("cpu", {}, "false"), gpu = on("cuda", {}, "false");
  EXPECT_EQ(cpu.at("device"), "cpu");
  EXPECT_EQ(cpu.at("device_name"), "CPU");
  EXPECT_EQ(gpu.at("device"), "cuda");
  EXPECT_EQ(gpu.at("memory_bytes").at("weights"), cpu.at("memory_bytes").at("weights"));
  EXPECT_NE(gpu.at("memory_bytes").at("workspace"), cpu.at("memory_bytes").at("workspace"));  // a chunk of logits
  const double none = gpu.at("choices").at("none").at("total"), full = gpu.at("choices").at("full").at("total");
  EXPECT_EQ(on("cuda", full * 0.99, "auto").at("fits"), false);
  EXPECT_EQ(on("cuda", full * 0.99, "auto").at("activation_checkpointing"), "full");
  EXPECT_EQ(on("cuda", none * 1.01, "false").at("fits"), true);
  const auto text = run({"plan", yaml_, "--device", "cuda"}).out;
  if (gpu.at("device_name").is_null())
    EXPECT_THAT(text,
                testing::HasSubstr(
                    "device       a GPU, and none is here (counted as an H100 or H200): distributed.memory_limit_gib"));
  else
    EXPECT_THAT(text, testing::HasSubstr("device       " + gpu.at("device_name").get<std::string>()));
}

// No fused kernel of a GPU takes fp32: attention then keeps all pairs of tokens, and plan counts and says it.
TEST_F(Memory, OfPairsOfTokensIsCountedWhereAttentionKeepsThem) {
  const auto planned = [&](const std::string& device, const std::string& dtype) {
    return json_of(arguments("false", {}, {"plan", "--json", "--device", device, "--model.torch_dtype", dtype}));
  };
  const auto kept = [](const Json& plan) { return plan.at("memory_bytes").at("activations").get<double>(); };
  const auto wide = planned("cuda", "float32"), narrow = planned("cuda", "bfloat16"), cpu = planned("cpu", "float32");
  EXPECT_TRUE(narrow.at("pairs_kept").is_null());
  EXPECT_TRUE(cpu.at("pairs_kept").is_null());
  EXPECT_THAT(wide.at("pairs_kept").get<std::string>(), testing::HasSubstr("float32"));
  // 2 layers of 4 heads; packs of 256 tokens hold documents of at most 96: seq_length.
  const double pairs = 2.0 * 512 * 96 * (4 * 4 + 1);
  EXPECT_GT(kept(wide), kept(cpu) + pairs);
  EXPECT_LT(kept(wide), kept(cpu) + 1.2 * pairs);
  EXPECT_THAT(run(arguments("false", {}, {"plan", "--device", "cuda"})).out,
              testing::HasSubstr("attention    keeps all pairs of tokens of a document"));
}

// "one of these fits: KEY: VALUE (12.5 MiB); ..." as {--KEY, VALUE} each.
std::vector<Arguments> changes_in(const std::string& advice) {
  const std::string opening = "one of these fits: ";
  EXPECT_THAT(advice, testing::StartsWith(opening));
  static const std::regex kChange(R"(([a-z_.]+): ([a-z0-9]+)(, with the same numbers)? \([0-9.]+ [A-Za-z]+\)(; |$))");
  std::vector<Arguments> changes;
  size_t read = opening.size();
  for (std::sregex_iterator at(advice.begin() + static_cast<long>(read), advice.end(), kChange), end; at != end; ++at) {
    changes.push_back({"--" + at->str(1), at->str(2)});
    read += at->str().size();
  }
  EXPECT_EQ(read, advice.size()) << "not understood: " << advice;
  return changes;
}

// A run on data of another kind: `dataset` is its section from the target's name on.
std::string write_run_on(const std::filesystem::path& file, const std::string& dataset) {
  const auto folder = file.parent_path();
  write_file_atomically(
      file, "recipe: TrainFinetuneRecipeForNextTokenPrediction\ndevice: cpu\nmodel: {pretrained_model_name_or_path: " +
                tiny_base().string() +
                "}\nstep_scheduler: {global_batch_size: 2, local_batch_size: 2, num_epochs: 1, max_steps: 1}\n"
                "optimizer: {_target_: adamw, lr: 0.001}\ncheckpoint: {checkpoint_dir: " +
                (folder / "out").string() + "}\ndataset:\n  _target_: nemo_automodel.components.datasets.llm." +
                dataset);
  return file.string();
}

// Where the shortest documents alone are too much, and fit with the rest.
TEST_F(Memory, AdviceTakesSeveralChangesTogetherWhereNoneSuffices) {
  const auto mock = write_run_on(folder_ / "mock.yaml", "mock_iterable_dataset.MockIterableDataset\n  seq_len: 256\n");
  const auto plan = [&](Arguments more) {
    more.insert(more.begin(), {"plan", mock, "--json"});
    return json_of(more);
  };
  const auto total = [&](Arguments more) {
    more.insert(more.end(), {"--dataset.seq_len", "32"});
    return plan(more).at("memory_bytes").at("total").get<double>();
  };
  const double alone = total({}),
               together = total({"--distributed.activation_checkpointing", "full", "--step_scheduler.local_batch_size",
                                 "1", "--optimizer.state_dtype", "bfloat16"});
  const auto told = plan({"--distributed.memory_limit_gib", std::to_string((alone + together) / 2 / kGib)});
  EXPECT_THAT(told.at("advice").get<std::string>(),
              testing::ContainsRegex("^distributed.activation_checkpointing: full, step_scheduler.local_batch_size: 1, "
                                     "optimizer.state_dtype: bfloat16.* together take .*, which fits"));
}

// 600 tokens in a shard of NanoGPT's format.
std::string nanogpt_shard() {
  std::vector<int32_t> header(256);
  header[0] = 278895051, header[1] = 1, header[2] = 600, header[3] = 2;
  std::vector<uint16_t> tokens(600);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint16_t>(i % 50);
  return std::string(reinterpret_cast<const char*>(header.data()), 1024) +
         std::string(reinterpret_cast<const char*>(tokens.data()), 1200);
}

// What is said to fit does: each change, typed as it is printed, is accepted, planned to fit and not refused.
TEST_F(Memory, WhatIsSaidToFitFits) {
  const std::filesystem::path assets = source_folder() / "assets/quickstart";
  write_file_atomically(folder_ / "shard.bin", nanogpt_shard());
  const Arguments packed = {"--packed_sequence.packed_sequence_size", "256"};
  const auto mock = write_run_on(folder_ / "mock.yaml", "mock_iterable_dataset.MockIterableDataset\n  seq_len: 256\n");
  const auto nanogpt = write_run_on(folder_ / "nanogpt.yaml",
                                    "nanogpt_dataset.NanogptDataset\n  seq_len: 256\n"
                                    "  file_pattern: " +
                                        (folder_ / "shard.bin").string() + "\n");
  const auto megatron =
      write_run_on(folder_ / "megatron.yaml", "megatron_dataset.MegatronPretraining\n  seq_length: 256\n  paths: " +
                                                  (assets / "tokens/passages_text_document").string() +
                                                  "\n  index_mapping_dir: " + (folder_ / "order").string() + "\n");
  const std::tuple<std::string, Arguments, std::string> kinds[] = {
      {yaml_, packed, "--packed_sequence.packed_sequence_size"},
      {yaml_, {}, "--dataset.seq_length"},
      {mock, {}, "--dataset.seq_len"},
      {mock, packed, "--packed_sequence.packed_sequence_size"},
      {nanogpt, {}, "--dataset.seq_len"},
      {megatron, {}, "--dataset.seq_length"}};
  for (const auto& [file, options, length] : kinds) {
    SCOPED_TRACE(file + " " + length);
    const auto words = [&](const Arguments& first, const Arguments& change) {
      Arguments all = first;
      all.push_back(file);
      all.insert(all.end(), options.begin(), options.end());
      all.insert(all.end(), {"--step_scheduler.max_steps", "1"});
      all.insert(all.end(), change.begin(), change.end());
      return all;
    };
    const auto free = json_of(words({"plan", "--json"}, {})).at("choices");
    const double limit =
        (free.at("none").at("total").get<double>() + free.at("selective").at("total").get<double>()) / 2;
    const Arguments limited = {"--distributed.memory_limit_gib", std::to_string(limit / kGib)};
    const auto changes = changes_in(json_of(words({"plan", "--json"}, limited)).at("advice").get<std::string>());
    std::set<std::string> keys;
    for (auto change : changes) {
      SCOPED_TRACE(change[0] + " " + change[1]);
      keys.insert(change[0]);
      change.insert(change.end(), limited.begin(), limited.end());
      EXPECT_EQ(json_of(words({"plan", "--json"}, change)).at("fits"), true);
      if (change[0] == "--step_scheduler.local_batch_size") continue;  // a run of that is like any other
      expect_success(run(words({}, change)));
      std::filesystem::remove_all(folder_ / "out");
    }
    EXPECT_THAT(keys, testing::IsSupersetOf({std::string("--distributed.activation_checkpointing"),
                                             std::string("--step_scheduler.local_batch_size"), length}));
  }
}

}  // namespace
}  // namespace automodel::program
