#include "automodel/optim/memory.h"

#include <fmt/format.h>

#include <unordered_set>

#include "automodel/base/error.h"
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

void require_memory(const std::vector<ParameterPtr>& parameters, const AdamSettings& settings, uint64_t available,
                    const std::string& device) {
  const auto memory = training_memory(parameters, settings);
  if (memory.total() <= available) return;
  std::string hint = "train adapters instead of all weights (peft:)";
  auto split = settings;
  split.master_weights = Master::Split;
  const bool may_split = settings.master_weights.value_or(Master::Full) == Master::Full &&
                         std::none_of(parameters.begin(), parameters.end(), [](const ParameterPtr& parameter) {
                           return parameter->trainable && parameter->dtype() == at::kHalf;
                         });
  if (const auto less = training_memory(parameters, split); may_split && less.total() < memory.total())
    hint +=
        fmt::format("; optimizer.master_weights: split makes it {} with the same numbers", format_bytes(less.total()));
  auto small = settings;
  small.state_dtype = at::kBFloat16, small.master_weights = Master::None, small.grad_dtype.reset();
  if (const auto less = training_memory(parameters, small); less.total() < memory.total())
    hint += fmt::format("; optimizer.state_dtype: bfloat16 makes it {}", format_bytes(less.total()));
  throw SystemError(device,
                    fmt::format("{} make {} before the first batch, and it has {}", memory.text(),
                                format_bytes(memory.total()), format_bytes(available)),
                    hint);
}

}  // namespace automodel::optim
