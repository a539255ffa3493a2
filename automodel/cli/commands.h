// The subcommands as plain functions: what was typed as a struct in, the exit code out. Results go to standard output,
// everything else to standard error. They throw the rooms' errors; main() prints them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "automodel/config/capabilities.h"
#include "automodel/config/overrides.h"
#include "automodel/data/preprocess.h"

namespace automodel::cli {

/// What this program can do, for the check of a configuration.
config::Capabilities capabilities();

/// CONFIG.yaml and --a.b.c overrides, as `run`, `check`, `plan` and `data` take them.
struct ConfigArguments {
  std::string file;
  std::string recipe;  // the one that the YAML must name; empty: any
  std::vector<config::Override> overrides;
  bool json = false;
  std::optional<int64_t> samples;  // data --n
};
/// Splits what follows the subcommand; -h and --help print `help`, whose first paragraph is the usage, and end the
/// program. Throws ConfigError when there is no file.
ConfigArguments parse_config_arguments(const std::vector<std::string>& arguments, const std::string& help);

/// The commands that take a configuration, and what `automodel COMMAND --help` prints for each; "" for another name.
std::vector<std::string> config_command_names();
std::string config_command_help(const std::string& command);

int run_recipe(const ConfigArguments& arguments);
int run_check(const ConfigArguments& arguments);
int run_plan(const ConfigArguments& arguments);
int run_data(const ConfigArguments& arguments);

struct TokenizeOptions {
  std::string model, file = "-";
  bool no_special = false, decode = false, offsets = false, jsonl = false;
};
int run_tokenize(const TokenizeOptions& options);

struct PreprocessCommand {
  data::PreprocessOptions options;
  bool json = false;
};
int run_preprocess(const PreprocessCommand& command);

struct RenderOptions {
  std::string model, chat = "-", template_file, tools_file;
  std::string continued;  // the field of the last message that is left open; empty: none
  bool add_generation_prompt = false, ids = false, mask = false, jsonl = false;
};
int run_render(const RenderOptions& options);

struct ScoreOptions {
  std::string model, batch, logits, grads, dtype = "auto", device = "auto", lora;
};
int run_score(const ScoreOptions& options);

struct GenerateOptions {
  std::string model, prompt, chat, continued, dtype = "auto", device = "auto", lora;
  int64_t max_new_tokens = 256, top_k = 0, seed = 42;
  double temperature = 0, top_p = 1;
  bool json = false;
};
int run_generate(const GenerateOptions& options);

struct CheckpointOptions {
  std::string action, path, out;
  bool json = false;
};
int run_checkpoint(const CheckpointOptions& options);

struct DownloadOptions {
  std::string repo, revision = "main";
  std::vector<std::string> include;
  bool dataset = false, json = false;
};
int run_download(const DownloadOptions& options);

struct CompareOptions {
  std::vector<std::string> runs;
  bool json = false;
};
int run_compare(const CompareOptions& options);

int run_models(bool json);
int run_doctor(bool json);
int run_help(const std::string& topic);
int run_version(bool json);

}  // namespace automodel::cli
