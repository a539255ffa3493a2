#include "automodel/checkpoint/model_folder.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "automodel/base/crc32c.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/checkpoint/weight_source.h"

namespace automodel::checkpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ModelFolder, HoldsTheFilesThatFromPretrainedWants) {
  TemporaryFolder folder;
  std::ofstream(folder / "tokenizer.json") << "{\"t\":1}";
  std::ofstream(folder / "chat_template.jinja") << "old";
  std::filesystem::create_directory(folder / "additional_chat_templates");
  std::ofstream(folder / "additional_chat_templates/tools.jinja") << "tools";
  const std::vector<NamedTensor> tensors{
      {"a", at::randn({16, 16}), {}}, {"b", at::randn({16, 16}), {}}, {"c", at::randn({4}), {}}};
  const auto records = write_model_folder(folder / "out", tensors,
                                          {.config = "{\"model_type\":\"llama\"}",
                                           .generation_config = "{}",
                                           .chat_template = "new",
                                           .copies = {folder / "tokenizer.json", folder / "chat_template.jinja",
                                                      folder / "additional_chat_templates/tools.jinja"}},
                                          {.max_shard_size_bytes = 1200});
  for (const auto& record : records) {
    const std::string bytes = read_file(folder / "out" / record.path);
    EXPECT_EQ(record.bytes, bytes.size()) << record.path;
    EXPECT_EQ(record.crc32c, crc32c(0, bytes.data(), bytes.size())) << record.path;
  }
  EXPECT_EQ(records.size(), 8u);
  EXPECT_EQ(read_file(folder / "out/chat_template.jinja"), "new");
  EXPECT_EQ(read_file(folder / "out/additional_chat_templates/tools.jinja"), "tools");
  EXPECT_EQ(read_file(folder / "out/tokenizer.json"), "{\"t\":1}");
  const Json index = load_json(folder / "out/model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], (512 + 4) * 4);
  EXPECT_EQ(index["metadata"]["total_parameters"], 516);
  EXPECT_EQ(index["weight_map"]["c"], "model-00002-of-00002.safetensors");
  EXPECT_TRUE(at::equal(open_weights(folder / "out").view("b"), tensors[1].tensor));
  EXPECT_THAT(message_of<CheckpointError>([&] { write_model_folder(folder / "out", tensors, {.config = "{}"}); }),
              HasSubstr("already holds weights"));
}

TEST(ModelFolder, TransformersLoadsItAsItIs) {
  const char* python = std::getenv("AUTOMODEL_ORACLES");
  if (!python) GTEST_SKIP() << "AUTOMODEL_ORACLES (a python with transformers) is not set";
  TemporaryFolder folder;
  // A llama of one layer, its names and shapes written out by transformers, its values by us.
  const std::string config =
      R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":16,"intermediate_size":24,"num_hidden_layers":1,)"
      R"("num_attention_heads":2,"num_key_value_heads":1,"vocab_size":32,"tie_word_embeddings":false,"dtype":"bfloat16"})";
  const std::string layer = "model.layers.0.";
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors.push_back({name, at::randn(shape), {}});
  };
  add("model.embed_tokens.weight", {32, 16}), add("model.norm.weight", {16}), add("lm_head.weight", {32, 16});
  add(layer + "self_attn.q_proj.weight", {16, 16}), add(layer + "self_attn.k_proj.weight", {8, 16});
  add(layer + "self_attn.v_proj.weight", {8, 16}), add(layer + "self_attn.o_proj.weight", {16, 16});
  add(layer + "mlp.gate_proj.weight", {24, 16}), add(layer + "mlp.up_proj.weight", {24, 16}),
      add(layer + "mlp.down_proj.weight", {16, 24});
  add(layer + "input_layernorm.weight", {16}), add(layer + "post_attention_layernorm.weight", {16});
  write_model_folder(folder / "model", tensors, {.config = config},
                     {.max_shard_size_bytes = 1000, .dtype = at::kBFloat16});
  write_safetensors(folder / "truth.safetensors", tensors, {}, at::kBFloat16);
  std::ofstream(folder / "check.py") << R"(
import sys
from transformers import AutoModelForCausalLM
from safetensors.torch import load_file
model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto", output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
truth, state = load_file(sys.argv[2]), model.state_dict()
assert truth.keys() == state.keys()
for name, tensor in truth.items():
    assert state[name].dtype == tensor.dtype and bool((state[name] == tensor).all()), name
)";
  EXPECT_EQ(
      std::system(
          fmt::format("{0} {1}/check.py {1}/model {1}/truth.safetensors", python, folder.path().string()).c_str()),
      0);
}

TEST(ModelFolder, ShardsAreCutAsSavePretrainedCutsThem) {
  const std::vector<uint64_t> sizes{4, 4, 4, 20, 1, 9};
  EXPECT_THAT(plan_shards(sizes, 10),
              ElementsAre(ElementsAre(0, 1), ElementsAre(2), ElementsAre(3), ElementsAre(4, 5)));
  EXPECT_EQ(plan_shards({}, 10).size(), 1u);
}

TEST(ModelFolder, AppearsWholeOrNotAtAll) {
  TemporaryFolder folder;
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(folder.path()), {}); };
  EXPECT_THROW(write_folder_atomically(folder / "out",
                                       [](const auto& hidden) {
                                         std::ofstream(hidden / "a") << "x";
                                         throw CheckpointError("x", "y");
                                       }),
               CheckpointError);
  EXPECT_EQ(files(), 0);
  write_folder_atomically(folder / "out/", [](const auto& hidden) { std::ofstream(hidden / "a") << "x"; });
  EXPECT_EQ(read_file(folder / "out/a"), "x");
  EXPECT_EQ(files(), 1);
  EXPECT_THAT(message_of<CheckpointError>([&] { write_folder_atomically(folder / "out", [](const auto&) {}); }),
              HasSubstr("not an empty folder"));
}

TEST(AdapterFolder, HasPeftsTwoFiles) {
  TemporaryFolder folder;
  const std::vector<NamedTensor> tensors{{"base_model.model.q_proj.lora_A.weight", at::randn({2, 4}), {}}};
  write_adapter_folder(folder.path(), tensors, Json{{"peft_type", "LORA"}, {"r", 2}});
  EXPECT_EQ(load_json(folder / "adapter_config.json")["r"], 2);
  EXPECT_TRUE(at::equal(open_weights(folder.path()).view(tensors[0].name), tensors[0].tensor));
}

}  // namespace
}  // namespace automodel::checkpoint
