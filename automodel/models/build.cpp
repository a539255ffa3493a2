#include "automodel/models/build.h"

#include "automodel/base/error.h"
#include "automodel/tensor/initialize.h"

namespace automodel::models {

DecoderSpec read_config(const Json& json, const std::string& where, const BuildOptions& options) {
  HfConfig config(json, where);
  const auto& family = find_family(config.model_type(), where);
  auto spec = family.read(config);
  config.finish(options.allowed_config_keys);
  return spec;
}

std::unique_ptr<nn::Model> build(const DecoderSpec& spec, at::ScalarType dtype) {
  auto model = std::make_unique<nn::Model>();
  const int64_t hidden = spec.embedding.hidden;
  model->embedding = std::make_unique<nn::Embedding>(spec.embedding, dtype);
  for (size_t i = 0; i < spec.layers.size(); ++i)
    model->layers.push_back(std::make_unique<nn::DecoderLayer>(spec.layers[i], static_cast<int64_t>(i), hidden, dtype));
  model->head =
      std::make_unique<nn::Head>(spec.head, hidden, spec.head.tied ? model->embedding->weight() : nullptr, dtype);
  return model;
}

void initialize(nn::Model& model, uint64_t seed) {
  for (const auto& parameter : model.parameters()) {
    if (!parameter->has_value()) parameter->allocate(model.device);
    if (model.device.is_cpu())
      automodel::initialize(*parameter, seed);
    else
      initialize_on_device(*parameter, seed);
  }
}

int64_t count_parameters(const nn::Model& model, bool trainable_only) {
  int64_t count = 0;
  for (const auto& parameter : model.parameters())
    if (!trainable_only || parameter->trainable) count += parameter->numel();
  return count;
}

}  // namespace automodel::models
