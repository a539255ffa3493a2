#include "tests/program/tiny.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "automodel/base/text.h"

namespace automodel::program {
namespace fs = std::filesystem;

static const fs::path kQuickstart = source_folder() / "assets/quickstart";

Json tiny_config() {
  return {{"architectures", {"Qwen3ForCausalLM"}},
          {"model_type", "qwen3"},
          {"vocab_size", 4096},
          {"hidden_size", 32},
          {"intermediate_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 512},
          {"initializer_range", 0.05},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"attention_bias", false},
          {"tie_word_embeddings", true},
          {"eos_token_id", 4095},
          {"pad_token_id", 4093},
          {"torch_dtype", "float32"}};
}

void write_tiny_folder(const fs::path& folder, const Json& config) {
  fs::create_directories(folder);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(kQuickstart / "model" / name, folder / name, fs::copy_options::overwrite_existing);
  write_file_atomically(folder / "config.json", config.dump(2));
}

void write_chats(const fs::path& file, int rows, int first) {
  const auto lines = split(read_file(kQuickstart / "data/train.jsonl"), '\n');
  std::string text;
  for (int i = first; i < first + rows; ++i) text += lines.at(static_cast<size_t>(i)) + "\n";
  write_file_atomically(file, text);
}

static void write_yaml(const fs::path& folder, const fs::path& model, const std::string& target) {
  fs::create_directories(folder);
  write_chats(folder / "train.jsonl", 60);
  const std::string chat = "  _target_: nemo_automodel.components.datasets.llm.chat_dataset.ChatDataset\n";
  write_file_atomically(
      folder / "run.yaml",
      "recipe: TrainFinetuneRecipeForNextTokenPrediction\nmodel:\n  _target_: "
      "nemo_automodel.NeMoAutoModelForCausalLM." +
          target + "\n  " +
          (target == "from_config" ? "config: {pretrained_model_name_or_path: " : "pretrained_model_name_or_path: ") +
          model.string() + (target == "from_config" ? "}" : "") + "\ndataset:\n" + chat +
          "  path_or_dataset_id: " + (folder / "train.jsonl").string() +
          "\n  seq_length: 96\ndataloader: {shuffle: false}\nstep_scheduler: {global_batch_size: 4, local_batch_size: "
          "2, max_steps: 4}\n"
          "optimizer: {_target_: torch.optim.AdamW, lr: 1.0e-3}\ncheckpoint:\n  checkpoint_dir: " +
          (folder / "out").string() + "\n");
}

const fs::path& tiny_base() {
  static const TemporaryFolder folder;
  static const fs::path base = [] {
    write_tiny_folder(folder / "config", tiny_config());
    expect_success(
        run(with(write_run_from_config(folder.path(), folder / "config"), {"--step_scheduler.max_steps", "1"})));
    return folder / "out/epoch_0_step_0/model";
  }();
  return base;
}

fs::path write_run(const fs::path& folder) {
  write_yaml(folder, tiny_base(), "from_pretrained");
  return folder / "run.yaml";
}

fs::path write_run_from_config(const fs::path& folder, const fs::path& model) {
  write_yaml(folder, model, "from_config");
  return folder / "run.yaml";
}

Arguments with(const fs::path& config, const Arguments& overrides) {
  Arguments all = {config.string()};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return all;
}

Arguments lora(const Arguments& more) {
  Arguments all = {"--peft._target_", "nemo_automodel.components._peft.lora.PeftConfig", "--peft.match_all_linear",
                   "true"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<Json> read_lines(const fs::path& file) {
  std::vector<Json> lines;
  if (!fs::exists(file)) return lines;
  for (const auto& line : split(read_file(file), '\n'))
    if (!line.empty()) lines.push_back(parse_json(line, file.string()));
  return lines;
}

std::vector<std::string> steps_of(const fs::path& run) {
  std::vector<std::string> steps;
  for (const auto& line : read_lines(run / "training.jsonl")) {
    std::string text;
    for (const char* name : {"step", "epoch", "loss", "grad_norm", "lr", "num_tokens_per_step", "num_label_tokens"})
      text += " " + line.at(name).dump();
    steps.push_back(text);
  }
  return steps;
}

std::vector<double> losses_of(const fs::path& run) {
  std::vector<double> losses;
  for (const auto& line : read_lines(run / "training.jsonl")) losses.push_back(line.at("loss").get<double>());
  return losses;
}

bool on_gpu() {
  const char* device = std::getenv("AUTOMODEL_TEST_DEVICE");
  return device && std::string(device) != "cpu";
}

double device_bound(double on_cpu) { return on_gpu() ? 4 * on_cpu : on_cpu; }

Json json_of(const Arguments& arguments, const Setting& setting) {
  const auto finished = run(arguments, setting);
  expect_success(finished);
  return parse_json(finished.out, "standard output");
}

std::vector<std::vector<float>> read_logits(const fs::path& file) {
  const auto bytes = read_file(file);
  uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  const auto entry = parse_json(bytes.substr(8, header_size), file.string()).at("logits");
  const auto shape = entry.at("shape").get<std::vector<size_t>>();
  std::vector<std::vector<float>> rows(shape.at(0), std::vector<float>(shape.at(1)));
  const char* data = bytes.data() + 8 + header_size + entry.at("data_offsets").at(0).get<size_t>();
  for (auto& row : rows) {
    std::memcpy(row.data(), data, row.size() * sizeof(float));
    data += row.size() * sizeof(float);
  }
  return rows;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(folder)) names.push_back(item.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string text_of(const Arguments& arguments, const std::vector<std::string>& words, const std::string& input) {
  const auto finished = run(arguments, {.input = input});
  expect_success(finished);
  EXPECT_EQ(finished.err, "");
  for (const auto& word : words) EXPECT_THAT(finished.out, testing::HasSubstr(word));
  return finished.out;
}

void expect_success(const Finished& finished) {
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_THAT(finished.err, testing::Not(testing::HasSubstr("error")));
}

void expect_error(const Finished& finished, int exit_code, const std::vector<std::string>& words) {
  EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
  EXPECT_EQ(finished.out, "");
  int errors = 0;
  std::string message;
  for (const auto& line : split(finished.err, '\n')) {
    errors += line.starts_with("error: ");
    if (errors > 0 && !line.empty()) {
      EXPECT_TRUE(message.empty() || line.starts_with("  ")) << "after the error came: " << line;
      message += line + "\n";
    }
  }
  EXPECT_EQ(errors, 1) << finished.err;
  for (const char* trace : {"internal error", "terminate called", "what():", "Exception raised from",
                            "c10::", "frame #", "json.exception", "nlohmann", "YAML::"})
    EXPECT_THAT(finished.err, testing::Not(testing::HasSubstr(trace)));
  for (const auto& word : words) EXPECT_THAT(message, testing::HasSubstr(word));
}

}  // namespace automodel::program
