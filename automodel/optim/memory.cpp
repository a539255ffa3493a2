#include "automodel/optim/memory.h"

#include <fmt/format.h>

#include <unordered_set>

#include "automodel/base/text.h"

namespace automodel::optim {

std::string TrainingMemory::text() const {
  return fmt::format("weights {}, gradients {}, optimizer {}", format_bytes(weights), format_bytes(gradients),
                     format_bytes(optimizer));
}

TrainingMemory training_memory(const std::vector<ParameterPtr>& parameters, const AdamSettings& settings) {
  TrainingMemory memory;
  std::unordered_set<const Parameter*> seen;
  for (const auto& parameter : parameters) {
    if (!seen.insert(parameter.get()).second) continue;
    const auto count = static_cast<uint64_t>(parameter->numel());
    memory.weights += count * c10::elementSize(parameter->dtype());
    if (parameter->trainable)
      memory.gradients += count * c10::elementSize(gradient_dtype(parameter->dtype(), settings));
  }
  memory.optimizer = Adam::state_bytes(parameters, settings);
  return memory;
}

}  // namespace automodel::optim
