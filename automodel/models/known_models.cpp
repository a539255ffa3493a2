#include "automodel/models/known_models.h"

#include <algorithm>

namespace automodel::models {

extern const char* const kKnownModelIndex;    // of the source that cmake/known_models.cmake writes
extern const char* const kKnownModelConfigs;  // {folder: config.json}

static std::vector<KnownModel> read_known_models() {
  const Json index = parse_json(kKnownModelIndex, "configs/benchmark/models/index.json"),
             configs = parse_json(kKnownModelConfigs, "configs/benchmark/models");
  std::vector<KnownModel> models;
  for (const auto& [id, entry] : index.items()) {
    KnownModel model{.id = id};
    if (entry.contains("folder")) {
      model.config = configs.at(entry.at("folder").get<std::string>());
      model.model_type = model.config.at("model_type");
      model.parameters = entry.at("parameters");
    } else {
      model.model_type = entry.at("model_type");
    }
    models.push_back(std::move(model));
  }
  return models;
}

const std::vector<KnownModel>& known_models() {
  static const std::vector<KnownModel> models = read_known_models();
  return models;
}

const KnownModel* find_known_model(std::string_view id) {
  const auto& models = known_models();
  const auto found = std::find_if(models.begin(), models.end(), [&](const auto& model) { return model.id == id; });
  return found == models.end() ? nullptr : &*found;
}

}  // namespace automodel::models
