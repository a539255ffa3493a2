// `finetune` is as fast as `benchmark` on the same work: what it logs, clips and reads back costs nothing that shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/tensor/testing.h"
#include "tests/gpu/twins.h"
#include "tests/program/tiny.h"

namespace automodel::gpu {
namespace {

using program::Arguments;
constexpr const char* kRecipe = "configs/benchmark/llama3_2_1b_full.yaml";
constexpr int64_t kSteps = 18, kWarmup = 5;

// The same recipe for finetune, which has no section `benchmark`.
std::string recipe_of_finetune() {
  std::string text;
  bool inside = false;
  for (const auto& line : split(read_file(parity::source_folder() / kRecipe), '\n')) {
    const bool belongs = inside && (line.empty() || line.starts_with(' '));
    inside = belongs || line == "benchmark:";
    if (inside) continue;
    text += (line.starts_with("recipe: ") ? "recipe: TrainFinetuneRecipeForNextTokenPrediction" : line) + "\n";
  }
  return text;
}

double run_benchmark() {
  const auto report = program::json_of({"benchmark", "llm", "-c", kRecipe, "--json", "--device", "cuda",
                                        "--step_scheduler.max_steps", std::to_string(kSteps)},
                                       {.folder = parity::source_folder()});
  return report.at("tokens_per_step").get<double>() / report.at("step_ms").at("median").get<double>() * 1000;
}

double run_finetune() {
  const TemporaryFolder folder;
  write_file_atomically(folder / "run.yaml", recipe_of_finetune());
  program::expect_success(program::run(
      {"finetune", "llm", "-c", (folder / "run.yaml").string(), "--device", "cuda", "--step_scheduler.max_steps",
       std::to_string(kSteps), "--checkpoint.checkpoint_dir", (folder / "out").string()},
      {.folder = parity::source_folder()}));
  std::vector<double> rates;
  for (const auto& line : program::read_lines(folder / "out/training.jsonl")) rates.push_back(line.at("tps"));
  if (static_cast<int64_t>(rates.size()) <= kWarmup) return 0;
  std::sort(rates.begin() + kWarmup, rates.end());
  return rates[kWarmup + (rates.size() - kWarmup) / 2];
}

// Median steps, twice each in turn: a GPU's clock moves as it grows warm.
TEST(Rates, OfFinetuneAndBenchmarkAgreeWithinAPercent) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: a model of 1B takes hours elsewhere";
  const auto& gpu = kernels::load_cuda().gpus.at(0);
  if (gpu.memory_bytes < uint64_t{40} << 30) GTEST_SKIP() << gpu.name << " holds less than the 40 GB this takes";
  double benchmark = 0, finetune = 0;
  for (int turn = 0; turn < 2; ++turn)
    benchmark = std::max(benchmark, run_benchmark()), finetune = std::max(finetune, run_finetune());
  std::printf("  tokens/s: benchmark %.0f, finetune %.0f\n", benchmark, finetune);
  EXPECT_NEAR(finetune / benchmark, 1, 0.01);
}

// Where there is no GPU, that the recipe is one that finetune takes.
TEST(Rates, AreOfARecipeThatBothCommandsTake) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "run.yaml", recipe_of_finetune());
  for (const auto& file : {(folder / "run.yaml").string(), std::string(kRecipe)})
    program::expect_success(program::run({"check", file}, {.folder = parity::source_folder()}));
}

}  // namespace
}  // namespace automodel::gpu
