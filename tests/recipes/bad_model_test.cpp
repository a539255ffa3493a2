// A model folder that cannot be trained from: one clear error, and no folder of a run is begun.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;

class BadModel : public testing::Test {
 protected:
  void SetUp() override {
    config_ = write_run(folder_.path());
    fs::copy(tiny_base(), model());
  }
  fs::path model() const { return folder_ / "model"; }
  fs::path weights() const { return model() / "model.safetensors"; }

  void change_config(const Json& fields) {
    auto config = load_json(model() / "config.json");
    for (const auto& [key, value] : fields.items()) config[key] = value;
    write_file_atomically(model() / "config.json", config.dump());
  }

  // Writes the weights with another header, or with other data.
  void change_weights(const std::function<void(Json& header, std::string& data)>& change) {
    const auto bytes = read_file(weights());
    uint64_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    Json header = parse_json(bytes.substr(8, size), "header");
    std::string data = bytes.substr(8 + size);
    change(header, data);
    const std::string text = header.dump();
    size = text.size();
    write_file_atomically(weights(), std::string(reinterpret_cast<const char*>(&size), sizeof size) + text + data);
  }

  void expect_refused(int exit_code, const std::vector<std::string>& words, const Arguments& more = {}) {
    Arguments overrides = {"--model.pretrained_model_name_or_path", model().string()};
    overrides.insert(overrides.end(), more.begin(), more.end());
    expect_error(run(with(config_, overrides)), exit_code, words);
    EXPECT_FALSE(fs::exists(folder_ / "out")) << "a folder was begun for a run that could not start";
  }

  TemporaryFolder folder_;
  fs::path config_;
};

TEST_F(BadModel, WithoutWeights) {
  fs::remove(weights());
  expect_refused(1, {model().string(), "holds no weights", "model.safetensors"});
}

TEST_F(BadModel, WithAMissingShard) {
  const std::string first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors";
  fs::rename(weights(), model() / first);
  write_file_atomically(
      model() / "model.safetensors.index.json",
      Json{{"weight_map", {{"model.embed_tokens.weight", first}, {"model.norm.weight", second}}}}.dump());
  expect_refused(1, {"1 of 2 shards are missing", second, "hint:"});
}

TEST_F(BadModel, WithATruncatedFile) {
  fs::resize_file(weights(), 100000);
  expect_refused(1, {weights().string(), "cut short", "hint:"});
  fs::resize_file(weights(), 5);
  expect_refused(1, {weights().string(), "no safetensors file", "5 bytes"});
}

TEST_F(BadModel, WithATensorOfTheWrongShape) {
  change_config({{"intermediate_size", 96}});
  expect_refused(
      1, {"do not fit", "[model.layers.0.mlp.gate_proj.weight] expected [96, 32], the file has [64, 32]", "hint:"});
}

TEST_F(BadModel, WithATensorOfTheWrongDtype) {
  change_weights([](Json& header, std::string&) { header["model.norm.weight"]["dtype"] = "I32"; });
  expect_refused(1, {"[model.norm.weight] expected a floating dtype, the file has I32"});
}

TEST_F(BadModel, WithAMissingTensor) {
  change_weights([](Json& header, std::string&) {
    const auto entry = header["model.norm.weight"];
    header.erase("model.norm.weight");
    header["model.nrom.weight"] = entry;
  });
  expect_refused(1, {"missing: model.norm.weight", "model.nrom.weight"});
}

TEST_F(BadModel, WithANanInAWeightWhetherTrainedFrozenScoredOrSampled) {
  change_weights([](Json& header, std::string& data) {
    const float nan = std::nanf("");
    std::memcpy(data.data() + header["model.layers.1.mlp.down_proj.weight"]["data_offsets"][0].get<size_t>(), &nan,
                sizeof nan);
  });
  const std::vector<std::string> words = {"NaN", "model.layers.1.mlp.down_proj.weight", "hint:"};
  expect_refused(1, words);
  expect_refused(1, words, {"--peft._target_", "nemo_automodel.components._peft.lora.PeftConfig"});
  write_file_atomically(folder_ / "batch.json", R"({"documents": [{"input_ids": [1, 2, 3]}]})");
  expect_error(run({"score", "--model", model().string(), "--batch", (folder_ / "batch.json").string()}), 1, words);
  expect_error(run({"generate", "--model", model().string(), "--prompt", "a"}), 1, words);
}

TEST_F(BadModel, OfAnUnknownFamily) {
  change_config({{"model_type", "qwen33"}});
  expect_refused(3, {"qwen33", "qwen3", "hint:"});
}

TEST_F(BadModel, WithAnUnknownKeyInItsConfig) {
  change_config({{"hidden_sise", 32}});
  expect_refused(2, {"config.json", "hidden_sise", "did you mean 'hidden_size'", "hint:", "allow_config_keys"});
}

TEST_F(BadModel, WithAConfigThatIsNoJsonOrNoObjectOrHoldsAValueOfTheWrongType) {
  write_file_atomically(model() / "config.json", "{\n  \"model_type\": qwen3\n}");
  expect_refused(2, {"config.json:2:", "not valid JSON"});
  write_file_atomically(model() / "config.json", "[]");
  expect_refused(2, {"config.json", "expected a JSON object"});
  write_file_atomically(model() / "config.json", tiny_config().dump());
  change_config({{"model_type", 3}});
  expect_refused(2, {"config.json", "model_type", "got 3"});
  change_config({{"model_type", "qwen3"}, {"hidden_size", "wide"}});
  expect_refused(2, {"config.json", "hidden_size", "wide"});
  change_config({{"hidden_size", -32}});
  expect_refused(2, {"config.json", "hidden_size", "-32"});
}

TEST_F(BadModel, WithATokenizerLargerThanItsEmbedding) {
  auto config = tiny_config();
  config["vocab_size"] = 4000, config["pad_token_id"] = 0;
  write_tiny_folder(folder_ / "small", config);
  const auto from_config = write_run_from_config(folder_ / "run", folder_ / "small");
  expect_error(run(with(from_config, {})), 1, {"tokenizer has 4096 ids", "only 4000 rows", "hint:"});
  EXPECT_FALSE(fs::exists(folder_ / "run/out"));
}

TEST_F(BadModel, ThatIsNotThere) {
  fs::remove_all(model());
  expect_refused(2, {model().string(), "no such file or folder"});
}

TEST_F(BadModel, WithoutATokenizer) {
  fs::remove(model() / "tokenizer.json");
  expect_refused(1, {model().string(), "tokenizer.json"});
}

}  // namespace
}  // namespace automodel::program
