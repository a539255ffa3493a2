// Plan, automatic choice, refusal and advice hold a run to one figure: what of a device's memory tensors can fill. And
// what is planned for a GPU is what a run there takes.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "automodel/base/text.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/recipes/plan.h"
#include "automodel/tensor/testing.h"
#include "tests/gpu/shapes.h"
#include "tests/program/tiny.h"

namespace automodel::gpu {
namespace {

using recipes::AvailableMemory;

TEST(MemoryAdvice, HoldsEveryoneToWhatIsSafe) {
  const auto config = shape_config(shapes().front(), false);
  const auto spec = models::read_config(config, "config.json");
  const auto model = models::build(spec, at::kFloat);
  config::RecipeConfig recipe;
  recipe.dataset.kind = "mock";
  const recipes::MemoryAdvisor advisor(recipe, spec, *model);
  const models::MicrobatchShape batch{4096, 512};
  const auto plan = advisor.plan(batch);
  const uint64_t total = plan.total(nn::Recompute::None), free = 2 * total;

  recipes::Plan told;
  told.memory = plan;
  const AvailableMemory enough{free, total}, little{free, total - 1};
  told.available = enough;
  EXPECT_TRUE(told.fits());
  EXPECT_FALSE(advisor.shortage(batch, nn::Recompute::None, enough, "GPU"));
  EXPECT_EQ(recipes::automatic_recompute(plan, enough), nn::Recompute::None);

  told.available = little;
  EXPECT_FALSE(told.fits());
  EXPECT_NE(recipes::automatic_recompute(plan, little), nn::Recompute::None);
  const auto refusal = advisor.shortage(batch, nn::Recompute::None, little, "GPU");
  ASSERT_TRUE(refusal);
  EXPECT_THAT(refusal->what(), testing::HasSubstr(format_bytes(total - 1) + " of " + format_bytes(free) +
                                                  " that are free may be filled"));
  EXPECT_THAT(refusal->what(), testing::HasSubstr(advisor.what_fits(batch, nn::Recompute::None, total - 1)));
  // A limit is what may be filled, as it stands, and is not called free.
  EXPECT_EQ(recipes::free_text({1 << 20, 1 << 20, true}),
            "distributed.memory_limit_gib allows " + format_bytes(1 << 20));
  EXPECT_EQ(recipes::free_text({1 << 20, 1 << 20}), format_bytes(1 << 20) + " are free");
}

// On a GPU that is here: less than what is free, by what its libraries load and the pieces.
TEST(MemoryAdvice, LeavesAGpusLibrariesTheirRoom) {
  config::RecipeConfig config;
  if (!test_device().is_cuda()) {
    EXPECT_FALSE(recipes::available_memory(config, at::kCPU));
    config.distributed.memory_limit_gib = 2;
    const auto limited = recipes::available_memory(config, at::kCPU);
    EXPECT_EQ(limited->bytes, uint64_t{2} << 30);
    EXPECT_EQ(limited->safe, limited->bytes);
    EXPECT_TRUE(limited->is_limit);
    return;
  }
  const auto found = recipes::available_memory(config, test_device());
  ASSERT_TRUE(found);
  EXPECT_GT(found->bytes, uint64_t{1} << 30);
  EXPECT_LT(found->safe, recipes::without_pieces(found->bytes));
  EXPECT_GT(found->safe, found->bytes * 9 / 10 - (uint64_t{1} << 30));
  config.distributed.memory_limit_gib = 0.5;
  EXPECT_EQ(recipes::available_memory(config, test_device())->safe, uint64_t{1} << 29);
  EXPECT_TRUE(recipes::available_memory(config, test_device())->is_limit);
  config.distributed.memory_limit_gib = 100'000;  // more than there is: what is free counts
  EXPECT_FALSE(recipes::available_memory(config, test_device())->is_limit);
}

// What is kept, to the byte; the rest to 1 % and 256 MiB: cuBLAS keeps workspaces of its own, blocks are rounded.
TEST(MemoryAdvice, IsWhatARunOnAGpuTakes) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: activations_test.cpp does it here";
  const auto& gpu = kernels::load_cuda().gpus.at(0);
  if (gpu.memory_bytes < uint64_t{40} << 30) GTEST_SKIP() << gpu.name << " holds less than the 40 GB this takes";
  const std::tuple<const char*, program::Arguments> runs[] = {
      {"false", {}}, {"selective", program::lora({"--peft.dim", "16"})}, {"full", {}}};
  for (const auto& [choice, adapters] : runs) {
    SCOPED_TRACE(choice);
    program::Arguments options = {
        "--device", "cuda", "--json", "--distributed.activation_checkpointing", choice, "--step_scheduler.max_steps",
        "7"};
    options.insert(options.end(), adapters.begin(), adapters.end());
    const auto of = [&](program::Arguments words) {
      words.push_back("configs/benchmark/llama3_2_1b_full.yaml");
      words.insert(words.end(), options.begin(), options.end());
      return program::json_of(words, {.folder = parity::source_folder()}).at("memory_bytes");
    };
    const auto said = of({"plan"}), counted = of({"benchmark", "llm", "-c"});
    for (const char* kind : {"weights", "gradients", "optimizer"}) EXPECT_EQ(said.at(kind), counted.at(kind)) << kind;
    const double total = said.at("total"), peak = counted.at("peak");
    EXPECT_NEAR(peak, total, 0.01 * total + 256.0 * 1024 * 1024) << said.dump() << counted.dump();
  }
}

}  // namespace
}  // namespace automodel::gpu
