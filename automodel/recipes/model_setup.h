// The model of a run with everything that belongs to it: config, tokenizer, weights, adapters.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "automodel/base/error.h"
#include "automodel/config/recipe_config.h"
#include "automodel/models/build.h"
#include "automodel/models/known_models.h"
#include "automodel/net/resolve.h"
#include "automodel/peft/adapter_config.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::recipes {

/// A Hugging Face folder as far as config.json tells; no weights yet.
struct ModelFolder {
  std::filesystem::path path;  // where config.json, weights and tokenizer files lie
  std::string given;           // as the user wrote it: a Hub id, a folder, or a config.json
  std::string name, revision;  // the same, of a config.json its folder; revision of a Hub id ("": main)
  Json config;                 // config.json with the overrides of the configuration
  bool bundled = false;        // config is the program's own (models/known_models.h); there is no path
  const models::Family* family = nullptr;
  models::DecoderSpec spec;
  at::ScalarType dtype = at::kFloat;  // of the parameters
};

/// What was typed where model and dtype were named, for messages.
struct ModelKeys {
  std::string path = "model.pretrained_model_name_or_path", dtype = "model.torch_dtype";
};

/// Reads config.json of `section.path` (a folder, a config.json itself, or a Hub id, of which `files` are fetched).
/// dtype "auto" is the checkpoint's own, fp32 if it does not say. Throws ConfigError, UnsupportedError (unknown
/// family), HubError.
ModelFolder open_model_folder(const config::ModelSection& section, net::ModelFiles files, const ModelKeys& keys = {});

/// What the program knows of the run's model by its Hub id (models/known_models.h), where that is asked instead of the
/// Hub: in a benchmark whose data need no tokenizer, for a model that is not on this machine and whose revision is
/// main; `to_plan`, where no weights are wanted, in every recipe of such data. Else nullptr.
const models::KnownModel* known_model_of(const config::RecipeConfig& config, bool to_plan = false);

/// The model of a run: that of the section, or known_model_of(), which needs no network and has no weights. Throws
/// UnsupportedError too for a known one whose family this build lacks.
ModelFolder open_model_folder(const config::RecipeConfig& config, net::ModelFiles files, bool to_plan = false);

/// Throws UnsupportedError for float64 weights, adapters' too, on a GPU, where nothing updates them.
void refuse_float64(const nn::Model& model, at::Device device);

/// Where the run's tokenizer lies: what tokenizer.pretrained_model_name_or_path names, fetched if need be, or the
/// model.
std::filesystem::path find_tokenizer_folder(const config::RecipeConfig& config, const ModelFolder& folder);

/// Why a run with this tokenizer (of a folder) is refused: it has more ids than the model's embedding has rows. Nothing
/// where it is not.
std::optional<DataError> find_vocabulary_fault(const tokenizer::Tokenizer& tokenizer,
                                               const std::filesystem::path& folder, const models::DecoderSpec& spec);

struct TrainedModel {
  ModelFolder folder;
  std::unique_ptr<nn::Model> model;
  std::optional<peft::LoraOptions> lora;
  std::vector<std::string> adapted;               // modules with an adapter
  bool random = false;                            // weights by the family's rule, not from the folder
  nn::Recompute recompute = nn::Recompute::None;  // as the configuration asks, or as fits
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::filesystem::path tokenizer_folder;

  /// Adapters if there are any, else every parameter: what is saved and trained.
  std::vector<ParameterPtr> trained_parameters() const;
};

/// Builds the model, fills it (from the checkpoint, or by its family's rule with `seed`), puts adapters in as `peft`
/// says, and loads the tokenizer. Before weights are read, recomputation is chosen where that is left to us
/// (activation_checkpointing: auto), and SystemError says what would fit where the device cannot hold the run. Throws
/// CheckpointError, ConfigError, DataError (a tokenizer with more ids than the embedding has rows).
TrainedModel load_trained_model(const config::RecipeConfig& config);

/// A model for scoring and generation: `folder` may be a model folder, a run (its newest whole checkpoint), a
/// checkpoint, a Hub id, or a PEFT adapter folder whose base (a folder or a Hub id) is found through its
/// adapter_config.json; `adapter` (may be empty; the same kinds) is put on top. `device`: see choose_device. Throws
/// CheckpointError for a run without a whole checkpoint, a checkpoint without model/, an `adapter` that is none.
TrainedModel load_inference_model(const std::filesystem::path& folder, const std::filesystem::path& adapter,
                                  const std::string& dtype, const std::string& device);

peft::LoraOptions make_lora_options(const config::PeftSection& section);

}  // namespace automodel::recipes
