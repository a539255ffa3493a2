#include "automodel/recipes/memory_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "automodel/base/text.h"
#include "automodel/recipes/device.h"

namespace automodel::recipes {

static uint64_t at_least_zero(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

Json MemoryReport::json() const {
  return {{"weights", kept.weights},    {"gradients", kept.gradients}, {"optimizer", kept.optimizer},
          {"activations", activations}, {"workspace", workspace},      {"peak", peak()},
          {"allocator_unused", cached}, {"outside_allocator", outside}};
}

std::string MemoryReport::text() const {
  return fmt::format(
      "{} at most: {}, activations {}, workspace {}; beside it the allocator's unused pieces {}, "
      "libraries and other programs {}",
      format_bytes(peak()), kept.text(), format_bytes(activations), format_bytes(workspace), format_bytes(cached),
      format_bytes(outside));
}

MemoryMeter::MemoryMeter(engine::Engine& engine, const optim::Adam& optimizer)
    : engine_(engine), optimizer_(optimizer) {
  if (!engine_.model().device.is_cpu()) engine_.at_turn = [this] { turn(); };
}

void MemoryMeter::stop() { engine_.at_turn = nullptr; }

optim::TrainingMemory MemoryMeter::count() const {
  optim::TrainingMemory memory;
  std::unordered_set<const void*> seen;
  const auto bytes = [&](const at::Tensor& tensor) -> uint64_t {
    if (!tensor.defined() || !seen.insert(tensor.storage().unsafeGetStorageImpl()).second) return 0;
    return tensor.storage().nbytes();
  };
  const auto parameters = engine_.model().parameters();
  for (const auto& parameter : parameters) {
    if (parameter->has_value()) memory.weights += bytes(parameter->value());
    memory.gradients += bytes(parameter->mutable_grad());
  }
  if (optimizer_.has_states()) memory.optimizer = optim::Adam::state_bytes(parameters, optimizer_.settings());
  return memory;
}

void MemoryMeter::turn() {
  const auto now = device_memory(engine_.model().device);
  activations_ = std::max(activations_, at_least_zero(now->allocated, count().total()));
  states_at_turn_ = optimizer_.has_states();
}

std::optional<MemoryReport> MemoryMeter::report(uint64_t peak) const {
  const auto now = device_memory(engine_.model().device);
  if (!now || activations_ == 0) return std::nullopt;
  MemoryReport report{.kept = count(), .activations = activations_};
  const uint64_t states_to_come = states_at_turn_ ? 0 : report.kept.optimizer;
  report.workspace = at_least_zero(peak + states_to_come, report.kept.total() + activations_);
  report.cached = at_least_zero(now->peak_reserved, peak);
  report.outside = at_least_zero(now->used, now->reserved);
  return report;
}

}  // namespace automodel::recipes
