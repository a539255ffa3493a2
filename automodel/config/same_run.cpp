#include "automodel/config/same_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "automodel/config/yaml_tree.h"

namespace automodel::config {

namespace {

using Leaf = std::pair<std::string, std::string>;  // full path, value

// Sections (all keys below) and keys that say how long, how often or where to, but not what is trained.
bool may_change(const std::string& path) {
  static const std::vector<std::string> kSections = {"checkpoint", "tensorboard", "wandb",     "mlflow",
                                                     "comet",      "dist_env",    "benchmark", "validation_dataloader"};
  static const std::vector<std::string> kKeys = {"step_scheduler.max_steps",
                                                 "step_scheduler.num_epochs",
                                                 "step_scheduler.ckpt_every_steps",
                                                 "step_scheduler.save_checkpoint_every_epoch",
                                                 "step_scheduler.val_every_steps",
                                                 "step_scheduler.log_remote_every_steps",
                                                 "step_scheduler.loss_average_window_steps",
                                                 "step_scheduler.preemption_signal",
                                                 "dataloader.num_workers",
                                                 "distributed.activation_checkpointing",
                                                 "distributed.memory_limit_gib",
                                                 "optimizer.non_finite_gradients"};
  const auto has = [](const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  return has(kSections, path.substr(0, path.find('.'))) || has(kKeys, path);
}

// a.b[0].c of everything that holds no further keys: a list of plain values is one value.
void add_leaves(const Value& value, const std::string& path, std::vector<Leaf>& leaves) {
  if (value.is_map() && !value.entries.empty()) {
    for (const Entry& entry : value.entries)
      add_leaves(entry.value, path.empty() ? entry.key : path + "." + entry.key, leaves);
    return;
  }
  const bool of_maps = value.is_list() && std::any_of(value.items.begin(), value.items.end(),
                                                      [](const Value& item) { return item.is_map(); });
  if (of_maps) {
    for (size_t k = 0; k < value.items.size(); ++k) add_leaves(value.items[k], fmt::format("{}[{}]", path, k), leaves);
  } else if (!may_change(path)) {
    leaves.emplace_back(path, to_yaml(value));
  }
}

std::vector<Leaf> leaves_of(const std::string& yaml, const std::string& name) {
  std::vector<Leaf> leaves;
  add_leaves(parse_plain_yaml(yaml, name), "", leaves);
  return leaves;
}

}  // namespace

std::vector<std::string> differences_of_run(const std::string& saved, const std::string& now, const std::string& name) {
  const auto before = leaves_of(saved, name), after = leaves_of(now, "this configuration");
  const std::map<std::string, std::string> was(before.begin(), before.end()), is(after.begin(), after.end());
  std::vector<std::string> out;
  for (const auto& [path, value] : before) {
    const auto found = is.find(path);
    if (found == is.end())
      out.push_back(fmt::format("{}: not set, saved with {}", path, value));
    else if (found->second != value)
      out.push_back(fmt::format("{}: {}, saved with {}", path, found->second, value));
  }
  for (const auto& [path, value] : after)
    if (!was.contains(path)) out.push_back(fmt::format("{}: {}, saved without it", path, value));
  return out;
}

}  // namespace automodel::config
