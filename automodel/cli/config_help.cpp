// The help of the commands that take a configuration; that of the others is CLI11's.
#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/text.h"
#include "automodel/cli/commands.h"

namespace automodel::cli {
namespace {

struct Entry {
  const char* name;
  const char* usage;  // behind "automodel NAME"
  const char* about;
  std::vector<std::pair<const char*, const char*>> options;
};

const std::pair<const char*, const char*> kJson = {"--json", "the report as JSON"},
                                          kProfile = {"--profile FILE",
                                                      "benchmarks: a Chrome trace of three more steps, and a table"};
const char* const kOlder = "the older spelling of `automodel CONFIG.yaml`; CONFIG.yaml must name this recipe";

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      {"check",
       "CONFIG.yaml",
       "The configuration read, validated and printed as it takes effect, each key with its class.\n"
       "Reads no weights and uses no network. Exits with 0 if this build can run it, with 3 if it\n"
       "needs what this build lacks, with 2 if it is wrong.",
       {kJson}},
      {"plan",
       "CONFIG.yaml",
       "What would run: parameters, memory by kind and choice of recomputation, batches and steps.\n"
       "Reads no weights and needs no GPU (--device cuda counts as on one).",
       {kJson}},
      {"data",
       "CONFIG.yaml",
       "Samples as the model will see them, what is trained in colour or in [[ ]]; then the lengths,\n"
       "what packing fills, what is left out and why.",
       {{"--n N", "show so many samples (3)"}, kJson}},
      {"finetune", "llm|vlm -c CONFIG.yaml", kOlder, {}},
      {"pretrain", "llm|vlm -c CONFIG.yaml", kOlder, {}},
      {"kd", "llm|vlm -c CONFIG.yaml", kOlder, {}},
      {"benchmark",
       "llm|vlm -c CONFIG.yaml",
       "How fast a recipe trains, on random tokens: tokens/s, TFLOP/s, times of a step, memory by kind.\n"
       "CONFIG.yaml names the benchmark recipe, or fine-tuning with a benchmark section.",
       {kProfile, kJson}}};
  return all;
}

}  // namespace

std::vector<std::string> config_command_names() {
  std::vector<std::string> names;
  for (const auto& entry : entries()) names.push_back(entry.name);
  return names;
}

std::string config_command_help(const std::string& command) {
  const auto& all = entries();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Entry& entry) { return entry.name == command; });
  if (found == all.end()) return "";
  std::string text =
      fmt::format("automodel {} {} [OPTIONS] [--a.b.c VALUE ...]\n\n{}\n\n", command, found->usage, found->about);
  auto options = found->options;
  options.push_back({"--a.b.c VALUE", "a key of the configuration, over what the file says"});
  options.push_back({"-h,--help", "print this"});
  for (const auto& [option, meaning] : options) text += fmt::format("  {:<24}  {}\n", option, meaning);
  return text + "\n`automodel help config` lists the keys of a CONFIG.yaml\n";
}

}  // namespace automodel::cli
