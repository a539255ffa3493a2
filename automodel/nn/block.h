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

/// What runs again in the backward instead of being kept since the forward, of the layers; the embedding and the head
/// never run twice. No choice changes a bit of a loss or a gradient.
///   None       nothing: the graphs keep what they need
///   Selective  norms and activations: of the inputs of products only those are kept that another op keeps too
///   Full       whole layers: of each only the input is kept, [T, H]
/// How many bytes each keeps: models/activations.h.
enum class Recompute { None, Selective, Full };

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
