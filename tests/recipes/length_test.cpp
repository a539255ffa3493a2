// Lengths beyond what the model was made for: rotary positions go on and the user is told, learned ones do not and the
// run is refused; plan and run count the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Length : public testing::Test {
 protected:
  void SetUp() override {
    auto config = tiny_config();
    config["max_position_embeddings"] = 64;
    write_tiny_folder(folder_ / "rotary", config);
    folder_.write("learned/config.json", R"({"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4,
                                            "vocab_size": 100, "n_positions": 64})");
  }
  // Random tokens: the words of its section.
  std::string recipe(const std::string& model, const std::string& dataset) const {
    folder_.write("run.yaml", "recipe: benchmark\ndevice: cpu\nbenchmark: {warmup_steps: 1}\nmodel: {config: " +
                                  (folder_ / model).string() + "}\ndataset: {_target_: " + dataset +
                                  "}\nstep_scheduler: {global_batch_size: 2, local_batch_size: 2, max_steps: 2}\n");
    return (folder_ / "run.yaml").string();
  }
  TemporaryFolder folder_;
};

TEST_F(Length, AskedForIsObeyedWithAWarningWherePositionsAreRotary) {
  const auto file = recipe("rotary", "mock, seq_len: 128, num_samples: 20");
  const Arguments bench = {"benchmark", "llm", "-c", file, "--json"}, plan = {"plan", file, "--json"};
  const auto ran = run(bench), planned = run(plan);
  expect_success(ran), expect_success(planned);
  EXPECT_EQ(parse_json(ran.out, "summary").at("tokens_per_step"), 2 * 128);
  EXPECT_EQ(parse_json(planned.out, "plan").at("tokens_per_step"), 2 * 128);
  EXPECT_EQ(parse_json(planned.out, "plan").at("largest_microbatch_tokens"), 2 * 128);
  for (const auto& said : {ran.err, planned.err})
    EXPECT_THAT(said,
                AllOf(HasSubstr("warning: dataset.seq_len asks for documents of 128 tokens, more than the 64 that "
                                "the model was made for (max_position_embeddings)"),
                      HasSubstr("lower it by 64")));
  EXPECT_EQ(run({"check", file}).exit_code, 0);
  const auto within = run({"plan", file, "--dataset.seq_len", "64"});
  EXPECT_THAT(within.err, Not(HasSubstr("max_position_embeddings")));
}

// What a rope scaling reaches is what the model was made for.
TEST_F(Length, WithinARopesScalingIsNoMatter) {
  auto config = tiny_config();
  config["max_position_embeddings"] = 64;
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 2.0}, {"original_max_position_embeddings", 64}};
  write_tiny_folder(folder_ / "scaled", config);
  const auto file = recipe("scaled", "mock, seq_len: 128, num_samples: 20");
  EXPECT_THAT(run({"plan", file}).err, Not(HasSubstr("max_position_embeddings")));
  EXPECT_THAT(run({"plan", file, "--dataset.seq_len", "129"}).err, HasSubstr("more than the 128 that"));
}

TEST_F(Length, BeyondLearnedPositionsIsRefusedBeforeAnythingIsDone) {
  for (const auto& [dataset, key, asked] :
       {std::tuple{"mock, seq_len: 80", "dataset.seq_len", "80"},
        {"nanogpt, file_pattern: none/x.bin, seq_len: 80", "dataset.seq_len", "80"},
        {"megatron, paths: none/x, seq_length: 80", "dataset.seq_length", "80"},
        {"mock_text, max_sentence_len: 79", "dataset.max_sentence_len", "80"},
        {"chat, path_or_dataset_id: org/rows, seq_length: 81", "dataset.seq_length", "80"}}) {
    const auto file = recipe("learned", dataset);
    for (const auto& command : {Arguments{"benchmark", "llm", "-c", file}, Arguments{"plan", file}}) {
      const auto refused = run(command, {.environment = {{"HF_HUB_OFFLINE", "1"}}});
      EXPECT_EQ(refused.exit_code, 2) << dataset;
      EXPECT_THAT(refused.err, AllOf(HasSubstr(std::string(key) + ": asks for documents of " + asked +
                                               " tokens, but the model has learned positions for 64 only"),
                                     HasSubstr("lower it by 16 at least")))
          << dataset;
    }
    const auto checked = run({"check", file});
    EXPECT_EQ(checked.exit_code, 2);
    EXPECT_THAT(checked.out, HasSubstr("learned positions for 64 only"));
  }
  expect_success(run({"plan", recipe("learned", "mock, seq_len: 64, num_samples: 20")}));
}

// A pack is of several documents, and may be longer than any of them.
TEST_F(Length, OfADocumentInAPackIsTheModelsUnlessAskedFor) {
  const auto file = write_run_from_config(folder_.path(), folder_ / "rotary").string();
  const Arguments packed = {"--packed_sequence.packed_sequence_size", "256", "--step_scheduler.max_steps", "1"};
  const auto said = [&](const char* command, Arguments more) {
    Arguments all = {command, file};
    if (!*command) all.erase(all.begin());
    all.insert(all.end(), packed.begin(), packed.end()), all.insert(all.end(), more.begin(), more.end());
    const auto ended = run(all);
    expect_success(ended);
    std::filesystem::remove_all(folder_ / "out");
    return ended.err;
  };
  for (const char* command : {"plan", ""}) {
    EXPECT_THAT(
        said(command, {"--dataset.seq_length", "None"}),
        AllOf(HasSubstr("note: packed_sequence.packed_sequence_size is 256, but a document of dataset has at most "
                        "the 64 tokens that the model was made for (max_position_embeddings); "
                        "dataset.seq_length: 257 keeps longer ones"),
              Not(HasSubstr("warning"))));
    EXPECT_THAT(said(command, {"--dataset.seq_length", "97"}),
                HasSubstr("warning: dataset.seq_length asks for documents of 96 tokens, more than the 64 that"));
  }
}

}  // namespace
}  // namespace automodel::program
