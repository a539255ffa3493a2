// What the program can do, told to config/ by the command: config/ knows no room that does the work.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "automodel/config/check_tree.h"
#include "automodel/config/recipe_config.h"

namespace automodel::config {

struct Capabilities {
  std::vector<std::string> recipes = {"finetune"};
  std::vector<std::string> families;  ///< values of config.json's model_type that models/ can build
  std::vector<std::string> dataset_kinds = {
      "chat",       "column_mapped", "column_mapped_stream", "squad",    "hellaswag", "xlam",
      "agent_chat", "mock_text",     "mock_packed",          "megatron", "nanogpt"};
  std::vector<std::string> loggers;  ///< wandb, mlflow, comet: those that are written
  int world_size = 1;                ///< processes of this run
  bool hub = false;                  ///< models named by a Hub id can be fetched
  bool hub_datasets = false;         ///< data sets too
  /// Where a model of that name and revision lies on this machine already, without network; not set: nowhere.
  std::function<std::optional<std::string>(const std::string& name, const ModelSection& section)> find_model;
  /// Make what a run makes without weights, data or network, and throw what it would: try_settings from the sections
  /// alone, try_model from a config.json that lies here. Not set: not tried.
  std::function<void(const RecipeConfig&config)> try_settings, try_model;
};

/// What the configuration needs that this build or machine does not have: one line each. Looks for local folders and
/// reads a model's config.json (not its weights); uses no network: of a model that is still on the Hub it says nothing.
struct Lacking {
  std::string path, value, reason;
  Place place;
  bool no_file = false;      ///< what lacks is a file or folder of this machine
  bool mistyped = false;     ///< and the folder in which it should lie is there: the reason is a whole sentence then
  bool is_sentence = false;  ///< the reason is a whole sentence about the key
  std::string hint;

  /// "2 needs tensor parallelism", or the reason where that is a sentence.
  std::string text() const;
};
std::vector<Lacking> find_lacking(const Value& root, const RecipeConfig& config, const Findings& findings,
                                  const Capabilities& capabilities);

/// Calls capabilities.try_settings, and try_model where the model's config.json is on this machine; what they throw
/// becomes a fault or lacking, at the key that it names or at the model.
void find_run_faults(const Value& root, const RecipeConfig& config, const Capabilities& capabilities,
                     Findings& findings, std::vector<Lacking>& lacking);

}  // namespace automodel::config
