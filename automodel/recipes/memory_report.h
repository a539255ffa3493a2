// Where a GPU's memory went, counted: what explains every GiB of a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "automodel/base/json.h"
#include "automodel/engine/engine.h"
#include "automodel/optim/memory.h"

namespace automodel::recipes {

struct MemoryReport {
  optim::TrainingMemory kept;  // weights with their adapters' copies, gradients, optimizer: the storages as they lie
  uint64_t activations = 0;    // the most that lay between a forward and its backward beside them
  uint64_t workspace = 0;      // the most that came and went on top: gradients of activations, layers that run again,
                               // chunks of logits, workspace of cuBLAS and cuDNN
  uint64_t cached = 0;         // held by the allocator at its worst, in no tensor: rounding and pieces
  uint64_t outside = 0;        // on the GPU beside the allocator: CUDA's context, kernels, other programs

  /// What tensors took at most.
  uint64_t peak() const { return kept.total() + activations + workspace; }
  Json json() const;
  /// "52.1 GiB of the GPU: weights 15.2 GiB, ..., workspace 1.2 GiB; allocator's pieces 0.4 GiB, outside it 0.7 GiB"
  std::string text() const;
};

/// Listens to an engine's turns from forward to backward while it lives, or until stop().
class MemoryMeter {
 public:
  MemoryMeter(engine::Engine& engine, const optim::Adam& optimizer);
  ~MemoryMeter() { stop(); }
  MemoryMeter(const MemoryMeter&) = delete;

  /// `peak`: the most that tensors took since the meter was made. Nothing on the CPU, whose allocator counts nothing,
  /// and before a turn. Where the optimizer's states were made after the last turn, they are counted as if they had
  /// been there: so it will be from the second step on.
  std::optional<MemoryReport> report(uint64_t peak) const;
  void stop();

 private:
  void turn();
  optim::TrainingMemory count() const;

  engine::Engine& engine_;
  const optim::Adam& optimizer_;
  uint64_t activations_ = 0;
  bool states_at_turn_ = false;
};

}  // namespace automodel::recipes
