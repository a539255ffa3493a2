// checkpoint, compare, models, help, version.
#include <torch/version.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/model_folder.h"
#include "automodel/checkpoint/verify.h"
#include "automodel/cli/commands.h"
#include "automodel/config/help.h"
#include "automodel/metrics/compare.h"
#include "automodel/recipes/model_setup.h"

namespace automodel::cli {
namespace fs = std::filesystem;

static int merge_adapter(const CheckpointOptions& options) {
  auto loaded = recipes::load_inference_model(options.path, "", "auto", "cpu");
  if (!loaded.lora) throw CheckpointError(options.path, "holds no adapter: there is nothing to merge");
  peft::merge_lora(*loaded.model);
  checkpoint::ModelFiles files{.config = loaded.folder.config.dump(2) + "\n",
                               .copies = tokenizer::tokenizer_files(loaded.tokenizer_folder)};
  const auto generation = loaded.folder.path / "generation_config.json";
  if (fs::exists(generation)) files.generation_config = read_file(generation);
  const auto tensors = checkpoint::named_tensors(loaded.model->parameters());
  checkpoint::write_folder_atomically(
      options.out, [&](const fs::path& hidden) { checkpoint::write_model_folder(hidden, tensors, files); });
  if (options.json)
    std::cout << Json{{"path", options.out}, {"tensors", tensors.size()}}.dump(2) << "\n";
  else
    std::cout << options.out << "\n";
  return 0;
}

int run_checkpoint(const CheckpointOptions& options) {
  if (options.action == "merge") return merge_adapter(options);
  if (options.action == "consolidate")
    throw UnsupportedError("checkpoint consolidate",
                           "there is nothing to join: this build runs one process, which saves whole tensors",
                           "model/ of a checkpoint is a whole model folder already; checkpoint.save_consolidated says "
                           "when it is written");
  if (options.action == "info") {
    std::cout << checkpoint::info(options.path).dump(2) << "\n";
    return 0;
  }
  const auto report = checkpoint::verify(options.path);
  if (options.json) {
    std::cout << report.to_json().dump(2) << "\n";
  } else {
    for (const auto& fault : report.faults) std::cout << "fault: " << fault << "\n";
    for (const auto& note : report.notes) std::cout << "note: " << note << "\n";
    std::cout << fmt::format("{}: {}, {}, {}, {} compared: {}\n", report.kind, counted(report.files, "file"),
                             counted(report.tensors, "tensor"), format_bytes(report.bytes),
                             counted(report.checksums, "checksum"),
                             report.ok() ? "whole" : counted(std::ssize(report.faults), "fault"));
  }
  return report.ok() ? 0 : 1;
}

int run_compare(const CompareOptions& options) {
  std::vector<metrics::RunHistory> runs;
  for (const auto& run : options.runs) runs.push_back(metrics::load_run(run));
  const auto comparison = metrics::compare_runs(runs);
  std::cout << (options.json ? comparison.dump(2) : metrics::comparison_text(comparison)) << "\n";
  return 0;
}

int run_models(bool json) {
  Json list = Json::array();
  for (const auto* family : models::families())
    list.push_back({{"model_type", family->model_type}, {"architectures", family->architectures}});
  if (json) {
    std::cout << list.dump(2) << "\n";
    return 0;
  }
  for (const auto& entry : list)
    std::cout << fmt::format("{:<14} {}\n", entry.at("model_type").get<std::string>(),
                             join(entry.at("architectures").get<std::vector<std::string>>(), ", "));
  return 0;
}

int run_help(const std::string& topic) {
  if (topic == "config markdown") {
    std::cout << config::config_markdown() << "\n";
  } else if (topic == "config" || topic.starts_with("config ")) {
    std::cout << config::config_help(topic == "config" ? "" : topic.substr(7)) << "\n";
  } else if (topic.empty()) {
    std::cout
        << "topics of `automodel help`: config, config SECTION, a SECTION of the configuration alone, or a COMMAND\n";
  } else {
    std::cout << config::config_help(topic) << "\n";
  }
  return 0;
}

int run_version(bool json) {
  if (json)
    std::cout << Json{{"version", AUTOMODEL_VERSION}, {"libtorch", TORCH_VERSION}}.dump() << "\n";
  else
    std::cout << "automodel " << AUTOMODEL_VERSION << " (libtorch " << TORCH_VERSION << ")\n";
  return 0;
}

}  // namespace automodel::cli
