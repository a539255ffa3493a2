// Engine: walks a model's row of blocks forward and backward, each block with an autograd graph of its own.
//
//   forward:   acquire(block i) -> run -> release(i)
//   backward:  i from last to first: acquire(i) -> [recompute] -> backward -> hand the gradients on -> reduce(i) ->
//   release(i)
//
// Everything that surrounds a block (sharding, recomputation, offload) is a policy of this walk; blocks know none of
// it. Not thread-safe: one engine a process.
#pragma once

#include <functional>
#include <vector>

#include "automodel/nn/model.h"

namespace automodel::engine {

using nn::Recompute;

class Engine {
 public:
  /// `policy` may be null; model and policy must outlive the engine.
  explicit Engine(nn::Model& model, Recompute recompute = Recompute::None, nn::BlockPolicy* policy = nullptr);

  /// One microbatch forward and backward: the weighted sum of the loss terms, 0-dim fp32 on the model's device, where
  /// it may not be computed yet; gradients in the parameters' sinks. context.loss_scale is 1 / trained tokens of the
  /// whole step, so the results of the microbatches of a step add up.
  at::Tensor forward_backward(const Batch& batch, Context& context);

  /// The forward alone, no graph: validation.
  at::Tensor forward_loss(const Batch& batch, Context& context);

  /// Where a non-finite number first appears: "parameter x", "output of model.layers.3", "gradient of x", or "" if
  /// nowhere.
  std::string find_non_finite(const Batch& batch, Context& context);

  /// Called in forward_backward where the forward ends: what lies in memory then is kept for the backward. May be
  /// empty.
  std::function<void()> at_turn;

  nn::Model& model() { return model_; }
  Recompute recompute() const { return recompute_; }

 private:
  struct Visit;  // what the forward leaves of one block for the backward

  Visit run(nn::Block& block, Flow& flow, const Batch& batch, Context& context, bool with_graph, bool wants_input_grad);
  void backward(Visit& visit, Flow& grads, const Batch& batch, Context& context);

  nn::Model& model_;
  Recompute recompute_;
  nn::BlockPolicy none_;
  nn::BlockPolicy* policy_;
};

}  // namespace automodel::engine
