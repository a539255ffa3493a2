// What training holds from its first step on, whatever the batch: weights, gradients, optimizer states.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "automodel/optim/adam.h"

namespace automodel::optim {

struct TrainingMemory {
  uint64_t weights = 0, gradients = 0, optimizer = 0;  // bytes
  uint64_t total() const { return weights + gradients + optimizer; }
  /// "weights 15.0 GiB, gradients 160 MiB, optimizer 480 MiB"
  std::string text() const;
};

/// Of a model with these parameters, each counted once, of which the trainable ones have gradients and states. Needs
/// no storage.
TrainingMemory training_memory(const std::vector<ParameterPtr>& parameters, const AdamSettings& settings);

}  // namespace automodel::optim
