#include "automodel/recipes/train_step.h"

#include <cmath>

#include "automodel/base/error.h"
#include "automodel/optim/gradient.h"

namespace automodel::recipes {

StepResult train_step(engine::Engine& engine, optim::Adam& optimizer, const std::vector<Batch>& microbatches,
                      const StepInput& input) {
  StepResult result;
  for (const auto& batch : microbatches) result.tokens += batch.tokens(), result.trained_tokens += batch.trained_tokens;
  if (result.trained_tokens == 0)
    throw DataError(fmt::format("step {}", input.step), fmt::format("none of its {} tokens is trained", result.tokens),
                    "look at the data with `automodel data`");

  optimizer.clear_grads();
  for (size_t m = 0; m < microbatches.size(); ++m) {
    Context context;
    context.training = true;
    context.key = RandomKey{input.seed, static_cast<uint64_t>(input.step), m};
    context.loss_scale = 1.0 / static_cast<double>(result.trained_tokens);
    const double loss = engine.forward_backward(microbatches[m], context);
    if (!std::isfinite(loss)) {
      Context again;
      again.loss_scale = context.loss_scale;
      const auto where = engine.find_non_finite(microbatches[m], again);
      throw NumericError(fmt::format("step {}", input.step),
                         fmt::format("the loss is {}; first non-finite: {}", std::isnan(loss) ? "NaN" : "infinite",
                                     where.empty() ? "the loss itself" : where),
                         "nothing was saved over; lower the learning rate, or look at the data of this step");
    }
    result.loss += loss;
  }
  result.grad_norm = optim::clip_gradients(optimizer.parameters(), input.max_norm, input.step);
  optimizer.step(input.lr, input.weight_decay);
  return result;
}

Validation validate(engine::Engine& engine, data::Loader& loader, int64_t step) {
  Validation result;
  loader.rewind();
  while (const auto batch = loader.next()) {
    Context context;  // loss_scale 1: a sum
    const double loss = engine.forward_loss(*batch, context);
    if (!std::isfinite(loss)) {
      const auto where = engine.find_non_finite(*batch, context);
      throw NumericError(fmt::format("validation after step {}", step),
                         fmt::format("the loss is {}; first non-finite: {}", std::isnan(loss) ? "NaN" : "infinite",
                                     where.empty() ? "the loss itself" : where),
                         "this step was not saved; lower the learning rate");
    }
    result.loss += loss;
    result.trained_tokens += batch->trained_tokens;
  }
  if (result.trained_tokens > 0) result.loss /= static_cast<double>(result.trained_tokens);
  return result;
}

}  // namespace automodel::recipes
