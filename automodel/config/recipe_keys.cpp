#include "automodel/config/recipe_keys.h"

#include <utility>

namespace automodel::config {

namespace {

struct Unread {
  std::string_view recipe, path, why;
};

// As NeMo AutoModel's recipes have it.
constexpr Unread kUnread[] = {
    {"benchmark", "checkpoint", "the benchmark recipe saves nothing"},
    {"benchmark", "lr_scheduler", "the learning rate of the benchmark recipe is constant"},
    {"benchmark", "clip_grad_norm", "the benchmark recipe does not clip"},
    {"benchmark", "validation_dataset", "the benchmark recipe does not validate"},
    {"benchmark", "validation_dataloader", "the benchmark recipe does not validate"},
    {"benchmark", "tensorboard", "the benchmark recipe prints a summary"},
    {"benchmark", "wandb", "the benchmark recipe prints a summary"},
    {"benchmark", "mlflow", "the benchmark recipe prints a summary"},
    {"benchmark", "comet", "the benchmark recipe prints a summary"},
    {"benchmark", "step_scheduler.num_epochs", "step_scheduler.max_steps ends the benchmark recipe"},
    {"benchmark", "step_scheduler.ckpt_every_steps", "the benchmark recipe saves nothing"},
    {"benchmark", "step_scheduler.save_checkpoint_every_epoch", "the benchmark recipe saves nothing"},
    {"benchmark", "step_scheduler.val_every_steps", "the benchmark recipe does not validate"},
    {"benchmark", "step_scheduler.log_remote_every_steps", "the benchmark recipe prints a summary"},
    {"benchmark", "step_scheduler.loss_average_window_steps", "the benchmark recipe prints a summary"},
    {"benchmark", "step_scheduler.preemption_signal", "the benchmark recipe saves nothing"},
    {"finetune", "benchmark", "only the benchmark recipe reads it"},
};

// Whether `path` is `key` or lies in it; validation_dataset_NAME is one of validation_dataset.
bool is_in(std::string_view path, std::string_view key) {
  if (!path.starts_with(key)) return false;
  const auto rest = path.substr(key.size());
  return rest.empty() || rest[0] == '.' || rest[0] == '[' || (key == "validation_dataset" && rest[0] == '_');
}

}  // namespace

std::string_view unread_by(std::string_view recipe, std::string_view path) {
  for (const auto& [of, key, why] : kUnread)
    if (of == recipe && is_in(path, key)) return why;
  return "";
}

void classify_for_recipe(std::string_view recipe, Findings& findings) {
  for (KeyNote& key : findings.keys) {
    const auto why = unread_by(recipe, key.path);
    if (why.empty()) continue;
    key.key_class = KeyClass::kInert;
    key.note = why;
    key.from_section = key.path.find('.') != std::string::npos && !key.path.starts_with("step_scheduler.");
  }
}

}  // namespace automodel::config
