// From a config.json to a model: built without memory, then filled from a checkpoint or initialised.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "automodel/models/registry.h"
#include "automodel/nn/model.h"

namespace automodel::models {

struct BuildOptions {
  at::ScalarType dtype = at::kFloat;
  std::vector<std::string> allowed_config_keys;
};

/// Reads a config.json's text whole; every key of it is obeyed, without effect, or an error.
DecoderSpec read_config(const Json& config, const std::string& where, const BuildOptions& options = {});

/// The blocks, without storage (no memory yet).
std::unique_ptr<nn::Model> build(const DecoderSpec& spec, at::ScalarType dtype);

/// Fills every parameter by its family's rule (tensor/initialize.h).
void initialize(nn::Model& model, uint64_t seed);

int64_t count_parameters(const nn::Model& model, bool trainable_only = false);

}  // namespace automodel::models
