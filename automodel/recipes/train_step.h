// The one loop body that every training recipe uses.
#pragma once

#include <c10/core/Event.h>

#include <memory>
#include <vector>

#include "automodel/engine/engine.h"
#include "automodel/optim/adam.h"
#include "automodel/optim/gradient.h"
#include "automodel/optim/step_guard.h"
#include "automodel/recipes/data_setup.h"
#include "automodel/recipes/memory_plan.h"
#include "automodel/recipes/model_setup.h"

namespace automodel::recipes {

/// Puts the configured loss, scaled as the guard says, into the model's head and walks it with the model's
/// recomputation.
engine::Engine make_engine(TrainedModel& loaded, const config::RecipeConfig& config, const optim::StepGuard& guard);

struct StepInput {
  uint64_t seed = 42;
  int64_t step = 0;  // from 0: part of the key of every random number
  double lr = 0, weight_decay = 0;
  double max_norm = 0;                     // gradients are clipped to it; 0: not clipped
  const MemoryAdvisor* advisor = nullptr;  // says what would fit where the memory is full; may be null
};

/// A step as it was launched: on a GPU its numbers may not be computed yet.
struct LaunchedStep {
  int64_t step = 0, tokens = 0, trained_tokens = 0;
  std::vector<Batch> microbatches;  // on the model's device
  optim::GradientNorm norm;
  at::Tensor numbers;  // fp64 on the host: each microbatch's loss, the norm, the loss scale (0: none); there after
  std::shared_ptr<c10::Event> ready;  // on a GPU: reading waits for this step alone, not for those launched after it
};

/// Forward and backward of all microbatches, clipping, update. The loss and the gradient are sums over trained tokens
/// divided by their count in the whole step. Where the gradients are not finite nothing is updated. `guard` is the
/// engine's; its scale moves. Waits for no GPU. Throws DataError when no token of the step is
/// trained, SystemError saying what fills the GPU's memory when it is full.
LaunchedStep train_step(engine::Engine& engine, optim::Adam& optimizer, optim::StepGuard& guard,
                        const std::vector<Batch>& microbatches, const StepInput& input);

struct StepNumbers {
  double loss = 0;                   // mean over the step's trained tokens, with the weights before the update
  double grad_norm = 0;              // before clipping
  std::optional<double> loss_scale;  // of this step, where the loss is scaled
  std::string skipped;               // why nothing was updated; "": it was
};

/// Waits for the step. Throws NumericError naming it and the first non-finite tensor, where the guard does not take it
/// for a step to be skipped.
StepNumbers read_step(engine::Engine& engine, const LaunchedStep& step, const optim::StepGuard& guard);

struct Validation {
  double loss = 0;  // mean over the set's trained tokens
  int64_t trained_tokens = 0;
};

/// One pass over a validation set, from its beginning. Throws NumericError naming `step`, the last one made, and the
/// first non-finite tensor when the loss is not finite.
Validation validate(engine::Engine& engine, data::Loader& loader, int64_t step);

}  // namespace automodel::recipes
