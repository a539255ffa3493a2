#include "automodel/recipes/train_step.h"

#include <cmath>

#include "automodel/base/error.h"

namespace automodel::recipes {

LaunchedStep train_step(engine::Engine& engine, optim::Adam& optimizer, const std::vector<Batch>& microbatches,
                        const StepInput& input) {
  LaunchedStep made{.step = input.step};
  for (const auto& batch : microbatches) made.tokens += batch.tokens(), made.trained_tokens += batch.trained_tokens;
  if (made.trained_tokens == 0)
    throw DataError(fmt::format("step {}", input.step), fmt::format("none of its {} tokens is trained", made.tokens),
                    "look at the data with `automodel data`");

  optimizer.clear_grads();
  for (size_t m = 0; m < microbatches.size(); ++m) {
    Context context;
    context.training = true;
    context.key = RandomKey{input.seed, static_cast<uint64_t>(input.step), m};
    context.loss_scale = 1.0 / static_cast<double>(made.trained_tokens);
    made.microbatches.push_back(microbatches[m].to(engine.model().device));
    made.losses.push_back(engine.forward_backward(made.microbatches.back(), context));
  }
  made.norm = optim::clip_gradients(optimizer.parameters(), input.max_norm);
  optimizer.step(input.lr, input.weight_decay, made.norm.total);
  return made;
}

// Runs the batch again to find where the numbers went wrong.
[[noreturn]] static void report_loss(engine::Engine& engine, const Batch& batch, double scale, double loss,
                                     const std::string& where, const std::string& hint) {
  Context context;
  context.loss_scale = scale;
  const auto first = engine.find_non_finite(batch, context);
  throw NumericError(where,
                     fmt::format("the loss is {}; first non-finite: {}", std::isnan(loss) ? "NaN" : "infinite",
                                 first.empty() ? "the loss itself" : first),
                     hint);
}

StepNumbers read_step(engine::Engine& engine, const LaunchedStep& step) {
  StepNumbers numbers;
  for (size_t m = 0; m < step.losses.size(); ++m) {
    const double loss = step.losses[m].item<double>();
    if (!std::isfinite(loss))
      report_loss(engine, step.microbatches[m], 1.0 / static_cast<double>(step.trained_tokens), loss,
                  fmt::format("step {}", step.step),
                  "nothing was saved over; lower the learning rate, or look at the data of this step");
    numbers.loss += loss;
  }
  numbers.grad_norm = optim::read_norm(step.norm, step.step);
  return numbers;
}

Validation validate(engine::Engine& engine, data::Loader& loader, int64_t step) {
  Validation result;
  loader.rewind();
  while (const auto next = loader.next()) {
    const auto batch = next->to(engine.model().device);
    Context context;  // loss_scale 1: a sum
    const double loss = engine.forward_loss(batch, context).item<double>();
    if (!std::isfinite(loss))
      report_loss(engine, batch, 1, loss, fmt::format("validation after step {}", step),
                  "this step was not saved; lower the learning rate");
    result.loss += loss;
    result.trained_tokens += batch.trained_tokens;
  }
  if (result.trained_tokens > 0) result.loss /= static_cast<double>(result.trained_tokens);
  return result;
}

}  // namespace automodel::recipes
