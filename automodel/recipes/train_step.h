// The one loop body that every training recipe uses.
#pragma once

#include <vector>

#include "automodel/engine/engine.h"
#include "automodel/optim/adam.h"
#include "automodel/recipes/data_setup.h"

namespace automodel::recipes {

struct StepInput {
  uint64_t seed = 42;
  int64_t step = 0;  // from 0: part of the key of every random number
  double lr = 0, weight_decay = 0;
  double max_norm = 0;  // gradients are clipped to it; 0: not clipped
};

struct StepResult {
  double loss = 0;       // mean over the step's trained tokens, with the weights before the update
  double grad_norm = 0;  // before clipping
  int64_t tokens = 0, trained_tokens = 0;
};

/// Forward and backward of all microbatches, clipping, update. The loss and the gradient are sums over trained tokens
/// divided by their count in the whole step. Throws NumericError naming step and first non-finite tensor, before
/// anything is updated; DataError when no token of the step is trained.
StepResult train_step(engine::Engine& engine, optim::Adam& optimizer, const std::vector<Batch>& microbatches,
                      const StepInput& input);

struct Validation {
  double loss = 0;  // mean over the set's trained tokens
  int64_t trained_tokens = 0;
};

/// One pass over a validation set, from its beginning. Throws NumericError naming `step`, the last one made, and the
/// first non-finite tensor when the loss is not finite.
Validation validate(engine::Engine& engine, data::Loader& loader, int64_t step);

}  // namespace automodel::recipes
