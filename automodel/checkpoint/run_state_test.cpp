#include "automodel/checkpoint/run_state.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"

namespace automodel::checkpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RunRecord some_record() {
  return {.step = 7,
          .epoch = 2,
          .optimizer = {{"name", "adamw"}},
          .schedule = {{"last", 0.1 + 0.2}},
          .random = {{"seed", 42}},
          .data = {{"offset", 12345678901}},
          .layout = {{"world_size", 1}}};
}

std::vector<NamedTensor> zeros_of(const std::vector<NamedTensor>& tensors) {
  std::vector<NamedTensor> zeros;
  for (const auto& named : tensors) zeros.push_back({named.name, at::zeros_like(named.tensor), {}});
  return zeros;
}

TEST(RunState, ComesBackBitForBit) {
  TemporaryFolder folder;
  const std::vector<NamedTensor> weights{{"a.weight", at::randn({32, 8}), {}},
                                         {"b.weight", at::randn({64, 8}).to(at::kBFloat16), {}},
                                         {"c.weight", at::randn({8, 4}).t(), {}},
                                         {"none", at::zeros({0, 3}), {}}};
  const std::vector<NamedTensor> optimizer{{"state.a.weight.exp_avg", at::randn({32, 8}), {}},
                                           {"state.a.weight.step", at::zeros({}).fill_(7), {}}};
  const auto records =
      write_run_state(folder.path(), some_record(), weights, optimizer, {.max_shard_size_bytes = 1200});
  EXPECT_EQ(records.size(), 4u);
  EXPECT_TRUE(std::filesystem::exists(folder / "weights/shard-00001-model-00002-of-00002.safetensors"));

  const auto state = open_run_state(folder.path());
  EXPECT_EQ(state.record.step, 7);
  EXPECT_EQ(state.record.epoch, 2);
  EXPECT_EQ(state.record.schedule["last"].get<double>(), 0.1 + 0.2);
  EXPECT_EQ(state.record.data["offset"], 12345678901);
  EXPECT_THAT(state.optimizer.names(), ElementsAre("state.a.weight.exp_avg", "state.a.weight.step"));
  for (const auto* part : {&weights, &optimizer}) {
    const auto targets = zeros_of(*part);
    load_tensors(part == &weights ? state.weights : state.optimizer, targets);
    for (size_t i = 0; i < targets.size(); ++i)
      EXPECT_TRUE(at::equal(targets[i].tensor, (*part)[i].tensor)) << targets[i].name;
  }
}

TEST(RunState, PiecesOfAnyLayoutAreReadIntoAnyOther) {
  TemporaryFolder folder;
  const at::Tensor whole = at::arange(10 * 6).to(at::kFloat).view({10, 6});
  for (int rank = 0; rank < 3; ++rank) {  // rows 0-3, 4-7, 8-9
    const int64_t rows = std::min(4, 10 - 4 * rank);
    write_run_state(folder.path(), some_record(),
                    std::vector<NamedTensor>{{"w", whole.narrow(0, 4 * rank, rows), {4 * rank, 0}}}, {},
                    {.rank = rank});
  }
  const SavedTensors saved(folder / "weights");
  EXPECT_THAT(saved.shape("w"), ElementsAre(10, 6));
  const at::Tensor all = at::zeros({10, 6}), middle = at::zeros({5, 2});
  saved.copy_to("w", all);
  EXPECT_TRUE(at::equal(all, whole));
  saved.copy_to("w", middle, {3, 4});
  EXPECT_TRUE(at::equal(middle, whole.narrow(0, 3, 5).narrow(1, 4, 2)));
  EXPECT_THAT(message_of<CheckpointError>([&] {
                saved.copy_to("w", middle, {6, 4});
              }),
              HasSubstr("the checkpoint has [10, 6]"));

  std::filesystem::remove(folder / "weights/shard-00002-model-00001-of-00001.safetensors");
  EXPECT_THAT(message_of<CheckpointError>([&] { SavedTensors(folder / "weights"); }), HasSubstr("leave gaps"));
  write_run_state(folder.path(), some_record(), std::vector<NamedTensor>{{"w", whole.narrow(0, 2, 6), {2, 0}}}, {},
                  {.rank = 1});
  EXPECT_THAT(message_of<CheckpointError>([&] { SavedTensors(folder / "weights"); }), HasSubstr("overlap"));
}

TEST(RunState, TorchsDistributedCheckpointReadsThePieces) {
  const char* python = std::getenv("AUTOMODEL_ORACLES");
  if (!python) GTEST_SKIP() << "AUTOMODEL_ORACLES (a python with torch) is not set";
  TemporaryFolder folder;
  const at::Tensor whole = at::arange(10 * 6).to(at::kFloat).view({10, 6});
  write_run_state(folder.path(), some_record(), std::vector<NamedTensor>{{"w", whole.narrow(0, 0, 4), {0, 0}}}, {},
                  {.rank = 0});
  write_run_state(folder.path(), some_record(), std::vector<NamedTensor>{{"w", whole.narrow(0, 4, 6), {4, 0}}}, {},
                  {.rank = 1});
  std::ofstream(folder / "check.py") << R"(
import sys, torch, torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import HuggingFaceStorageReader
state = {"w": torch.zeros(10, 6)}
dcp.load(state, storage_reader=HuggingFaceStorageReader(sys.argv[1]), no_dist=True)
assert torch.equal(state["w"], torch.arange(60.).view(10, 6)), state
)";
  EXPECT_EQ(std::system(fmt::format("{0} -W ignore {1}/check.py {1}/weights", python, folder.path().string()).c_str()),
            0);
}

TEST(RunState, NamesShapesAndDtypesMustAgree) {
  TemporaryFolder folder;
  write_run_state(folder.path(), some_record(),
                  std::vector<NamedTensor>{{"a", at::zeros({2, 3}), {}}, {"b", at::zeros({2}), {}}}, {});
  const auto state = open_run_state(folder.path());
  const auto load = [&](std::vector<NamedTensor> targets) {
    return message_of<CheckpointError>([&] { load_tensors(state.weights, targets); });
  };
  EXPECT_THAT(load({{"a", at::zeros({2, 3}), {}}, {"b", at::zeros({2}), {}}, {"c", at::zeros({2}), {}}}),
              HasSubstr("1 tensor is missing: c"));
  EXPECT_THAT(load({{"a", at::zeros({2, 3}), {}}}), HasSubstr("1 tensor is not wanted by this run: b"));
  EXPECT_THAT(load({{"a", at::zeros({3, 2}), {}}, {"b", at::zeros({2}), {}}}),
              HasSubstr("[a] expected float32 [3, 2], the checkpoint has float32 [2, 3]"));
  EXPECT_THAT(load({{"a", at::zeros({2, 3}, at::kHalf), {}}, {"b", at::zeros({2}), {}}}),
              HasSubstr("expected float16"));
}

TEST(RunState, FoldersThatHoldNone) {
  TemporaryFolder folder;
  const auto open = [&](const std::string& text) {
    std::ofstream(folder / "state.json") << text;
    try {
      open_run_state(folder.path());
    } catch (const Error& fault) {
      return std::string(fault.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_THAT(message_of<CheckpointError>([&] { open_run_state(folder.path()); }),
              HasSubstr("holds no training state"));
  EXPECT_THAT(open("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(open("[]"), HasSubstr("is no training state of this program"));
  EXPECT_THAT(open(R"({"format":"automodel.state","version":99})"),
              HasSubstr("has version 99, this build reads up to 1"));
  EXPECT_THAT(open(R"({"format":"automodel.state"})"), HasSubstr("has version null"));
  EXPECT_THAT(open(R"({"format":"automodel.state","version":1,"step":-3})"), HasSubstr("'step' is no whole number"));
}

TEST(RunState, ShardingInfoThatLies) {
  TemporaryFolder folder;
  for (const char* info :
       {"", "[]", "{}", R"({"w":{}})", R"({"w":{"saved_offsets":[0]}})", R"({"w":{"saved_offsets":[-1,0]}})",
        R"({"w":{"saved_offsets":[0,9223372036854775807]}})", R"({"w":{"saved_offsets":[1,0]}})"}) {
    write_safetensors(folder / "a.safetensors", std::vector<NamedTensor>{{"w", at::zeros({2, 2}), {}}},
                      {{"DCP_SHARDING_INFO", info}});
    EXPECT_THROW(SavedTensors{folder.path()}, CheckpointError) << info;
  }
}

}  // namespace
}  // namespace automodel::checkpoint
