// Block: what a model is a row of. BlockPolicy: what an engine does around each of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "automodel/nn/linear.h"
#include "automodel/tensor/batch.h"

namespace automodel::nn {

/// A differentiable step from Flow to Flow. forward() may run twice for one backward (recomputation): everything random
/// in it comes from context.key, and nothing else may change in the second run.
class Block {
 public:
  explicit Block(std::string name) : name_(std::move(name)) {}
  virtual ~Block() = default;

  virtual Flow forward(Flow flow, const Batch& batch, Context& context) = 0;
  /// Appends all parameters in checkpoint order; a borrowed (tied) one too.
  virtual void collect(std::vector<ParameterPtr>& out) const = 0;
  /// Appends its linears, the slots that adapters and quantisers fill.
  virtual void collect_linears(std::vector<Linear*>& out) {}

  const std::string& name() const { return name_; }  // "model.layers.3"

 private:
  std::string name_;
};

/// Called by the engine around every run of a block: sharding gathers in acquire and frees in release; reduce follows
/// the last use of a block's parameters in the backward. Acquires of one block nest; a block's parameters have values
/// only in between.
struct BlockPolicy {
  virtual ~BlockPolicy() = default;
  virtual void acquire(Block& block) {}
  virtual void release(Block& block) {}
  virtual void reduce(Block& block) {}
};

}  // namespace automodel::nn
