#include "automodel/checkpoint/load_weights.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>
#include <limits>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/checkpoint/convert.h"
#include "automodel/checkpoint/model_folder.h"

namespace automodel::checkpoint {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ParameterPtr make(const std::string& name, std::vector<int64_t> shape, at::ScalarType dtype = at::kFloat) {
  return std::make_shared<Parameter>(name, shape, dtype, Init{});
}

// A folder of six tensors in four shards.
struct ShardedFolder : TemporaryFolder {
  std::vector<NamedTensor> tensors;
  ShardedFolder() {
    for (int i = 0; i < 6; ++i) tensors.push_back({fmt::format("model.layers.{}.weight", i), at::randn({8, 16}), {}});
    write_model_folder(path(), tensors, {.config = "{}"}, {.max_shard_size_bytes = 1024});
  }
  std::vector<ParameterPtr> parameters() const {
    std::vector<ParameterPtr> list;
    for (const auto& named : tensors) list.push_back(make(named.name, named.tensor.sizes().vec()));
    return list;
  }
};

TEST(LoadWeights, ShardedFolderComesBackBitForBit) {
  ShardedFolder folder;
  EXPECT_TRUE(std::filesystem::exists(folder / "model-00003-of-00003.safetensors"));
  const auto parameters = folder.parameters();
  const auto report = load_weights(parameters, open_weights(folder.path()));
  for (size_t i = 0; i < parameters.size(); ++i)
    EXPECT_TRUE(at::equal(parameters[i]->value(), folder.tensors[i].tensor));
  EXPECT_EQ(report.tensors, 6);
  EXPECT_EQ(report.bytes, 6u * 8 * 16 * 4);
}

TEST(LoadWeights, EveryFloatingDtypeConvertsAsTensorToDoes) {
  TemporaryFolder folder;
  const at::Tensor wide = at::randn({37, 129}, at::kDouble).mul(3);
  for (const auto from : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    const at::Tensor stored = wide.to(from);
    write_safetensors(folder / "model.safetensors", std::vector<NamedTensor>{{"w", stored, {}}});
    for (const auto to : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
      const std::vector<ParameterPtr> parameters{make("w", {37, 129}, to)};
      load_weights(parameters, open_weights(folder.path()));
      EXPECT_TRUE(at::equal(parameters[0]->value(), stored.to(to)))
          << c10::toString(from) << " -> " << c10::toString(to);
    }
  }
}

TEST(LoadWeights, SlicesAndTransposedTensorsFillTheirRows) {
  TemporaryFolder folder;
  const at::Tensor q = at::randn({96, 70}), k = at::randn({33, 70}), conv = at::randn({70, 150});
  write_safetensors(folder / "model.safetensors", std::vector<NamedTensor>{{"q", q, {}}, {"k", k, {}}, {"c", conv, {}}},
                    {}, at::kBFloat16);
  const auto fused =
      std::make_shared<Parameter>(std::vector<ParameterSlice>{{"q", 0, 96}, {"k", 96, 33}, {"c", 129, 150, true}},
                                  std::vector<int64_t>{279, 70}, at::kFloat, Init{});
  const std::vector<ParameterPtr> parameters{fused, fused};  // as a tied weight comes: twice
  load_weights(parameters, open_weights(folder.path()));
  const auto rounded = [](const at::Tensor& t) { return t.to(at::kBFloat16).to(at::kFloat); };
  EXPECT_TRUE(at::equal(fused->value().narrow(0, 0, 96), rounded(q)));
  EXPECT_TRUE(at::equal(fused->value().narrow(0, 96, 33), rounded(k)));
  EXPECT_TRUE(at::equal(fused->value().narrow(0, 129, 150), rounded(conv).t()));

  const auto out = named_tensors(parameters);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_TRUE(at::equal(out[2].tensor, rounded(conv))) << "written in the layout it came in";
}

TEST(LoadWeights, FrozenParametersCanStayInTheFile) {
  TemporaryFolder folder;
  const at::Tensor w = at::randn({64, 64});
  write_safetensors(folder / "model.safetensors", std::vector<NamedTensor>{{"a", w, {}}, {"b", w, {}}});
  for (const auto& [map, mapped] : {std::pair(LoadOptions::Map::None, 0), std::pair(LoadOptions::Map::Frozen, 1),
                                    std::pair(LoadOptions::Map::All, 2)}) {
    const std::vector<ParameterPtr> parameters{make("a", {64, 64}), make("b", {64, 64})};
    parameters[0]->trainable = false;
    const auto report = load_weights(parameters, open_weights(folder.path()), {.map = map});
    EXPECT_EQ(report.mapped_bytes, static_cast<size_t>(mapped) * w.nbytes());
    EXPECT_TRUE(at::equal(parameters[0]->value(), w));
    EXPECT_TRUE(at::equal(parameters[1]->value(), w));
  }
}

TEST(LoadWeights, MissingTensorsAreListed) {
  ShardedFolder folder;
  auto parameters = folder.parameters();
  for (int i = 10; i < 17; ++i) parameters.push_back(make(fmt::format("model.layers.{}.weight", i), {2}));
  const auto message = message_of<CheckpointError>([&] { load_weights(parameters, open_weights(folder.path())); });
  EXPECT_THAT(message, AllOf(HasSubstr(folder.path().string()),
                             HasSubstr("7 of the model's tensors are missing: model.layers.10.weight"),
                             HasSubstr("and 2 more")));
  EXPECT_FALSE(parameters[0]->has_value()) << "nothing is read before everything is known to fit";
}

TEST(LoadWeights, UnexpectedTensorsAreRefusedUnlessIgnored) {
  ShardedFolder folder;
  auto parameters = folder.parameters();
  parameters.pop_back();
  EXPECT_THAT(message_of<CheckpointError>([&] { load_weights(parameters, open_weights(folder.path())); }),
              HasSubstr("1 tensor belongs to no part of the model: model.layers.5.weight"));
  EXPECT_EQ(load_weights(parameters, open_weights(folder.path()), {.ignore = {"*.5.weight"}}).ignored.size(), 1u);
}

TEST(LoadWeights, WrongShapeAndDtypeNameTensorAndBoth) {
  TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", std::vector<NamedTensor>{{"a.weight", at::randn({4, 6}), {}}});
  const std::vector<ParameterPtr> parameters{make("a.weight", {6, 4})};
  EXPECT_THAT(message_of<CheckpointError>([&] { load_weights(parameters, open_weights(folder.path())); }),
              HasSubstr("[a.weight] expected [6, 4], the file has [4, 6]"));
  write_safetensors(folder / "model.safetensors",
                    std::vector<NamedTensor>{{"a.weight", at::zeros({6, 4}, at::kInt), {}}});
  EXPECT_THAT(message_of<CheckpointError>([&] { load_weights(parameters, open_weights(folder.path())); }),
              HasSubstr("[a.weight] expected a floating dtype, the file has I32"));
}

TEST(LoadWeights, NanAndInfNameTheTensor) {
  TemporaryFolder folder;
  for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    for (const double value : {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
      if (dtype == at::kFloat8_e4m3fn && std::isinf(value)) continue;  // it has none
      for (const int64_t position : {0, 255, 256, 999}) {
        at::Tensor w = at::randn({1000});
        w.select(0, position).fill_(value);
        write_safetensors(folder / "model.safetensors",
                          std::vector<NamedTensor>{{"ok", at::randn({1000}), {}}, {"bad", w.to(dtype), {}}});
        const std::vector<ParameterPtr> parameters{make("ok", {1000}), make("bad", {1000})};
        EXPECT_THAT(message_of<CheckpointError>([&] { load_weights(parameters, open_weights(folder.path())); }),
                    HasSubstr("1 tensor holds NaN or Inf: bad"));
        load_weights(parameters, open_weights(folder.path()), {.check_finite = false});
      }
    }
  }
}

TEST(WeightSource, PrefixesAreTriedBothWaysAndOnlyThose) {
  TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors",
                    std::vector<NamedTensor>{{"h.0.w", at::randn({2}), {}}, {"transformer.x", at::randn({2}), {}}});
  const auto source = open_weights(folder.path(), {"transformer."});
  EXPECT_EQ(source.at("transformer.h.0.w").entry->name, "h.0.w");
  EXPECT_EQ(source.at("x").entry->name, "transformer.x");
  EXPECT_FALSE(source.find("model.h.0.w"));
  EXPECT_FALSE(open_weights(folder.path()).find("transformer.h.0.w"));
}

TEST(WeightSource, MissingTruncatedAndLyingShards) {
  ShardedFolder folder;
  const auto open = [&] { return message_of<CheckpointError>([&] { open_weights(folder.path()); }); };
  const auto shard = folder / "model-00002-of-00003.safetensors";
  std::filesystem::rename(shard, folder / "away");
  EXPECT_THAT(open(), HasSubstr("1 of 3 shards are missing: model-00002-of-00003.safetensors"));

  std::filesystem::copy(folder / "away", shard);
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 4);
  EXPECT_THAT(open(), AllOf(HasSubstr(shard.string()), HasSubstr("cut short")));

  std::filesystem::remove(shard);
  write_safetensors(shard, std::span(folder.tensors).subspan(2, 1));
  EXPECT_THAT(open(), HasSubstr("model.layers.3.weight: the index lists the tensor in this shard"));

  std::filesystem::remove(shard);
  auto more = std::vector<NamedTensor>(folder.tensors.begin() + 2, folder.tensors.begin() + 4);
  more.push_back({"stranger", at::randn({2}), {}});
  write_safetensors(shard, more);
  EXPECT_THAT(open(), HasSubstr("stranger: the tensor is not listed in model.safetensors.index.json"));
}

TEST(WeightSource, IndexFilesThatLie) {
  TemporaryFolder folder;
  const auto open = [&](const std::string& index) {
    std::ofstream(folder / "model.safetensors.index.json") << index;
    return message_of<CheckpointError>([&] { open_weights(folder.path()); });
  };
  EXPECT_THAT(open("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(open("[]"), HasSubstr("has no 'weight_map'"));
  EXPECT_THAT(open(R"({"weight_map":{"a":1}})"), HasSubstr("expected a file name"));
  EXPECT_THAT(open(R"({"weight_map":{"a":"../../secret.safetensors"}})"), HasSubstr("in the same folder"));
}

TEST(WeightSource, FoldersWithoutSafetensorsSayWhatIsThere) {
  TemporaryFolder folder;
  const auto open = [&] { return message_of<CheckpointError>([&] { open_weights(folder.path()); }); };
  EXPECT_THAT(open(), HasSubstr("holds no weights"));
  std::ofstream(folder / "pytorch_model.bin") << "x";
  EXPECT_THAT(open(), HasSubstr("pickle (pytorch_model.bin), which is never read"));
  std::ofstream(folder / "model-00001-of-00002.safetensors") << "x";
  EXPECT_THAT(open(), HasSubstr("has neither model.safetensors nor"));
  EXPECT_THAT(message_of<CheckpointError>([&] { open_weights(folder / "none"); }), HasSubstr("does not exist"));
}

}  // namespace
}  // namespace automodel::checkpoint
