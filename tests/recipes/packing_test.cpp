// How a recipe has samples packed: each strategy and window gives packs of its own, to a run as to its plan.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;

// One pack a step, over one epoch in the order of the file.
class Packing : public testing::Test {
 protected:
  void SetUp() override { config_ = write_run(folder_.path()); }

  // Runs NAME and returns the trained tokens of each of its packs.
  std::vector<int64_t> packs_of(const std::string& name, const Arguments& more) {
    const auto arguments = of(name, more);
    expect_success(run(arguments));
    std::vector<int64_t> packs;
    for (const auto& line : read_lines(folder_ / name / "training.jsonl"))
      packs.push_back(line.at("num_label_tokens").get<int64_t>());
    Arguments planned = {"plan"};
    planned.insert(planned.end(), arguments.begin(), arguments.end());
    planned.push_back("--json");
    EXPECT_EQ(json_of(planned).at("total_steps"), packs.size()) << name;
    return packs;
  }

  Arguments of(const std::string& name, const Arguments& more) const {
    Arguments all = with(
        config_, {"--packed_sequence.packed_sequence_size", "256", "--step_scheduler.num_epochs", "1",
                  "--step_scheduler.max_steps", "1000", "--step_scheduler.global_batch_size", "1",
                  "--step_scheduler.local_batch_size", "1", "--checkpoint.checkpoint_dir", (folder_ / name).string()});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  TemporaryFolder folder_;
  fs::path config_;
};

TEST_F(Packing, EachStrategyAndWindowOfARecipeReachesItsRunAndItsPlan) {
  const std::string strategy = "--packed_sequence.packing_strategy", window = "--packed_sequence.packing_window";
  const auto thd = packs_of("thd", {strategy, "thd"}), neat = packs_of("neat", {strategy, "neat"}),
             sequential = packs_of("sequential", {strategy, "sequential"}),
             narrow = packs_of("narrow", {strategy, "neat", window, "6"});
  EXPECT_EQ(packs_of("default", {window, "256"}), thd);
  EXPECT_EQ(packs_of("in order", {strategy, "sequential", window, "6"}), sequential) << "it has no window";
  const std::vector<std::vector<int64_t>> all = {thd, neat, sequential, narrow};
  for (size_t a = 0; a < all.size(); ++a)
    for (size_t b = a + 1; b < all.size(); ++b) EXPECT_NE(all[a], all[b]) << a << " and " << b;
  EXPECT_LT(neat.size(), sequential.size());
}

TEST_F(Packing, AWrongStrategyOrWindowIsOneErrorWithItsLine) {
  const auto yaml = read_file(config_);
  const auto refuses = [&](const std::string& line, const std::vector<std::string>& parts) {
    write_file_atomically(config_, "packed_sequence:\n  packed_sequence_size: 256\n  " + line + "\n" + yaml);
    const auto ended = run({config_.string()});
    EXPECT_NE(ended.exit_code, 0) << line;
    EXPECT_THAT(ended.err, testing::HasSubstr(config_.filename().string() + ":3:")) << line;
    for (const auto& part : parts) EXPECT_THAT(ended.err, testing::HasSubstr(part)) << line;
    EXPECT_EQ(ended.err.find("error:"), ended.err.rfind("error:")) << ended.err;
  };
  refuses("packing_strategy: greedy", {"packing_strategy", "thd, neat, sequential", "greedy"});
  refuses("packing_window: 0", {"packing_window", "at least 1", "0"});
}

TEST_F(Packing, ARunDoesNotGoOnWithOtherPacks) {
  expect_success(run(of("out", {"--step_scheduler.max_steps", "2"})));
  const auto refuses = [&](const std::string& key, const std::string& value, const std::string& difference) {
    expect_error(run(of("out", {"--step_scheduler.max_steps", "4", "--packed_sequence." + key, value})), 1,
                 {"another configuration", difference, "hint:"});
    EXPECT_EQ(steps_of(folder_ / "out").size(), 2u);
  };
  refuses("packing_window", "8", "packed_sequence.packing_window: 8, saved with 256");
  refuses("packing_strategy", "sequential", "packed_sequence.packing_strategy: sequential, saved with thd");
}

}  // namespace
}  // namespace automodel::program
