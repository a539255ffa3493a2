#include "automodel/recipes/run_checkpoint.h"

#include <ATen/ops/isfinite.h>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/model_folder.h"
#include "automodel/config/load_config.h"
#include "automodel/config/same_run.h"
#include "automodel/data/chat_format.h"
#include "automodel/tensor/dtype.h"

namespace automodel::recipes {
namespace fs = std::filesystem;
using checkpoint::FileRecord;
using checkpoint::NamedTensor;

RunCheckpoint::RunCheckpoint(const config::RecipeConfig& config, RunParts parts) : config_(config), parts_(parts) {
  checkpoint::RunFolderOptions options{.max_recent_checkpoints = config.checkpoint.max_recent_checkpoints.value_or(0)};
  folder_ = std::make_unique<checkpoint::RunFolder>(config.checkpoint.checkpoint_dir, options);
  if (!config.checkpoint.enabled) return;
  std::vector<std::string> sets;
  for (const auto& set : config.validation_sets) sets.push_back(set.name);
  const auto& deciding = config.checkpoint.best_metric_key;
  if (!sets.empty() && std::find(sets.begin(), sets.end(), deciding) == sets.end())
    log_warning(fmt::format("BEST is not kept: checkpoint.best_metric_key is {}, the validation sets are {}", deciding,
                            join(sets, ", ")));
}

void RunCheckpoint::check_same_config(const fs::path& from) const {
  const auto file = from / "config.yaml";
  auto differences = config::differences_of_run(read_file(file), config::effective_yaml(config_), file.string());
  if (differences.empty()) return;
  if (differences.size() > 12) differences.resize(12);
  throw CheckpointError(from.string(), "is a checkpoint of another configuration\n    " + join(differences, "\n    "),
                        "choose another checkpoint.checkpoint_dir, or name the checkpoint with "
                        "--checkpoint.restore_from to go on all the same");
}

void RunCheckpoint::check_records_are_free(const std::optional<checkpoint::CheckpointEntry>& from) const {
  const auto& folder = folder_->path();
  if (!checkpoint::holds_checkpoints(folder)) return;
  if (from && fs::equivalent(from->path / "..", folder)) return;
  throw CheckpointError(folder.string(), "holds a run, whose records a run without checkpoints would overwrite",
                        "choose another checkpoint.checkpoint_dir");
}

// The optimizer's tensors under their names in the file, as torch flattens optimizer state.
static std::vector<NamedTensor> named_states(const std::map<std::string, at::Tensor>& states) {
  std::vector<NamedTensor> named;
  for (const auto& [name, tensor] : states) named.push_back({"state." + name, tensor, {}});
  return named;
}

std::optional<std::string> RunCheckpoint::resume() {
  const auto& wanted = config_.checkpoint.restore_from;
  const bool enabled = config_.checkpoint.enabled;
  std::optional<checkpoint::CheckpointEntry> entry;
  if (!wanted.empty())
    entry = checkpoint::find_checkpoint(config_.checkpoint.checkpoint_dir, wanted);
  else if (enabled)
    entry = folder_->latest();
  if (!enabled) check_records_are_free(entry);
  if (!entry) {
    if (enabled) folder_->set_damaged_aside(0);
    return std::nullopt;
  }
  if (const auto newest = folder_->latest(); newest && newest->step > entry->step)
    throw CheckpointError(config_.checkpoint.checkpoint_dir,
                          fmt::format("holds {}, which a run from step {} on would come to again",
                                      newest->path.filename().string(), entry->step + 1),
                          "choose another checkpoint.checkpoint_dir for the other way on");
  if (wanted.empty()) check_same_config(entry->path);
  if (enabled) folder_->set_damaged_aside(entry->step + 1);

  const auto saved = checkpoint::open_run_state(entry->path / "state");
  const auto parameters = parts_.model.trained_parameters();
  const auto weights = checkpoint::named_tensors(parameters);
  checkpoint::load_tensors(saved.weights, weights);
  auto states = parts_.optimizer.state_tensors();
  checkpoint::load_tensors(saved.optimizer, named_states(states));
  parts_.optimizer.restore(states);
  const auto planned = saved.record.optimizer.value("learning_rate", ""), now = parts_.schedule.describe();
  if (!planned.empty() && planned != now)
    log_warning(
        fmt::format("the learning rate was planned as {}, it goes on as {}; the whole curve is taken from this "
                    "configuration (lr_scheduler.lr_decay_steps and lr_warmup_steps fix it)",
                    planned, now));
  parts_.guard.restore(saved.record.optimizer);
  parts_.scheduler.restore(saved.record.schedule);
  parts_.loader.restore(saved.record.data);
  return entry->path.filename().string();
}

std::vector<FileRecord> RunCheckpoint::write_state(const fs::path& folder) const {
  checkpoint::RunRecord record;
  record.step = parts_.scheduler.step();
  record.epoch = parts_.scheduler.epoch();
  record.optimizer = {{"kind", config_.optimizer.kind}, {"learning_rate", parts_.schedule.describe()}};
  record.optimizer.update(parts_.guard.state());
  record.schedule = parts_.scheduler.state();
  record.random = {{"seed", config_.seed}};  // every random number is a function of (seed, step, place): no state
  record.data = parts_.loader.state();
  record.layout = {{"world_size", 1}};
  const auto weights = checkpoint::named_tensors(parts_.model.trained_parameters());
  return checkpoint::write_run_state(folder, record, weights, named_states(parts_.optimizer.state_tensors()));
}

std::vector<FileRecord> RunCheckpoint::write_model(const fs::path& folder) const {
  const auto& model = parts_.model;
  const auto tensors = checkpoint::named_tensors(model.trained_parameters());
  std::vector<fs::path> copies;
  if (model.tokenizer) copies = tokenizer::tokenizer_files(model.tokenizer_folder);
  std::optional<std::string> chat_template;  // what the model was trained to speak
  if (const auto& own = config_.dataset.chat_template; !own.empty()) chat_template = data::resolve_chat_template(own);
  if (model.lora) {
    const auto& base = model.folder;
    const auto config = peft::adapter_config(*model.lora, *model.model, model.adapted, base.name, base.revision);
    return checkpoint::write_adapter_folder(folder, tensors, config, copies, chat_template);
  }
  Json config = model.folder.config;
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = dtype_name(model.folder.dtype);
  checkpoint::ModelFiles files{.config = config.dump(2) + "\n", .chat_template = chat_template, .copies = copies};
  const auto generation = model.folder.path / "generation_config.json";
  if (fs::exists(generation)) files.generation_config = read_file(generation);
  return checkpoint::write_model_folder(
      folder, tensors, files, {.max_shard_size_bytes = static_cast<uint64_t>(config_.checkpoint.max_shard_size_bytes)});
}

// The loss tells of NaN weights only at the next step: too late for a checkpoint of this one.
static void check_finite(const std::vector<ParameterPtr>& parameters, int64_t step) {
  for (const auto& parameter : parameters)
    if (!at::isfinite(parameter->value()).all().item<bool>())
      throw NumericError(fmt::format("step {}: {}", step, parameter->name()),
                         "the update left values that are not finite; nothing was saved over",
                         "lower the learning rate or lengthen the warm-up");
}

fs::path RunCheckpoint::save(int64_t epoch, int64_t step, std::optional<double> metric, bool last) {
  if (!config_.checkpoint.enabled) return {};
  check_finite(parts_.model.trained_parameters(), step);
  const auto& when = config_.checkpoint.save_consolidated;
  const bool with_model = when == "every" || when == "true" || (when == "final" && last) || parts_.model.lora;
  newest_ = folder_->save(epoch, step, metric, [&](const fs::path& hidden) {
    std::vector<FileRecord> all;
    const auto add = [&](const std::string& part, std::vector<FileRecord> records) {
      for (auto& record : records) record.path = part + record.path, all.push_back(std::move(record));
    };
    if (with_model) add("model/", write_model(hidden / "model"));
    add("state/", write_state(hidden / "state"));
    add("", {checkpoint::write_text_file(hidden / "config.yaml", config::effective_yaml(config_))});
    return all;
  });
  newest_step_ = step;
  return newest_;
}

void RunCheckpoint::save_before_error(int64_t epoch, int64_t step) {
  if (!config_.checkpoint.enabled)
    return log_warning(fmt::format("the steps up to {} are lost: checkpoint.enabled is false", step));
  try {
    if (newest_step_ != step) save(epoch, step, {}, false);
    log_warning(fmt::format("the steps made are safe: saved {}", newest_.string()));
  } catch (const Error& error) {
    log_warning(fmt::format("the steps made could not be saved: {}", error.what()));
  }
}

}  // namespace automodel::recipes
