#include "automodel/recipes/train_step.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/loss/loss.h"
#include "automodel/optim/memory.h"
#include "automodel/recipes/device.h"

namespace automodel::recipes {

engine::Engine make_engine(TrainedModel& loaded, const config::RecipeConfig& config, const optim::StepGuard& guard) {
  loaded.model->head->loss = loss::make_loss({.name = config.loss_fn.kind,
                                              .logit_softcapping = config.loss_fn.logit_softcapping.value_or(0),
                                              .gradient_scale = guard.scale()});
  return engine::Engine(*loaded.model, loaded.recompute);
}

static void send_to_host(LaunchedStep& made, const at::Tensor& numbers) {
  made.numbers = numbers;
  if (numbers.is_cpu()) return;
  made.numbers = at::empty(numbers.sizes(), at::TensorOptions(at::kDouble).pinned_memory(true));
  made.numbers.copy_(numbers, true);
  made.ready = std::make_shared<c10::Event>(numbers.device().type());
  made.ready->record(c10::impl::VirtualGuardImpl(numbers.device().type()).getStream(numbers.device()));
}

// Where the memory is when there is no more, and which change would fit into what this program can have.
static SystemError no_memory_left(engine::Engine& engine, const optim::Adam& optimizer,
                                  const models::MicrobatchShape& microbatch, const MemoryAdvisor* advisor) {
  const auto device = engine.model().device;
  const auto kept = optim::training_memory(engine.model().parameters(), optimizer.settings());
  const auto peak = peak_memory_since_last_call(device).value_or(0);
  const auto now = device_memory(device);
  const uint64_t total = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).second,
                 others = now->used - std::min(now->used, now->reserved);
  std::string hint = "`automodel plan` tells what each choice takes";
  if (advisor) {
    const auto recompute = engine.recompute();
    const auto estimate = advisor->plan(microbatch).total(recompute);
    // What is full is full, whatever the estimate says: a change must take less than what was tried.
    hint = advisor->what_fits(microbatch, recompute, std::min(estimate - 1, without_pieces(total - others)));
  }
  return SystemError(
      "GPU memory",
      fmt::format("is full: {}, and {} of activations and workspace for a microbatch of {} tokens; of {} "
                  "libraries and other programs hold {}",
                  kept.text(), format_bytes(peak > kept.total() ? peak - kept.total() : 0), microbatch.tokens,
                  format_bytes(total), format_bytes(others)),
      hint);
}

static LaunchedStep launch_step(engine::Engine& engine, optim::Adam& optimizer, optim::StepGuard& guard,
                                const std::vector<Batch>& microbatches, const StepInput& input) {
  LaunchedStep made{.step = input.step};
  for (const auto& batch : microbatches) made.tokens += batch.tokens(), made.trained_tokens += batch.trained_tokens;
  if (made.trained_tokens == 0)
    throw DataError(fmt::format("step {}", input.step),
                    fmt::format("none of its {} is trained", counted(made.tokens, "token")),
                    "look at the data with `automodel data`");

  std::vector<at::Tensor> numbers;
  optimizer.clear_grads();
  for (size_t m = 0; m < microbatches.size(); ++m) {
    Context context;
    context.training = true;
    context.key = RandomKey{input.seed, static_cast<uint64_t>(input.step), m};
    context.loss_scale = 1.0 / static_cast<double>(made.trained_tokens);
    made.microbatches.push_back(microbatches[m].to(engine.model().device));
    numbers.push_back(engine.forward_backward(made.microbatches.back(), context).to(at::kDouble));
  }
  made.norm = optim::clip_gradients(optimizer.parameters(), input.max_norm, guard.scale());
  optimizer.step(input.lr, input.weight_decay, made.norm);
  numbers.push_back(made.norm.total);
  numbers.push_back(guard.scale().defined() ? guard.scale().to(at::kDouble) : at::zeros_like(made.norm.total));
  guard.update_scale(made.norm);
  send_to_host(made, at::stack(numbers));
  return made;
}

LaunchedStep train_step(engine::Engine& engine, optim::Adam& optimizer, optim::StepGuard& guard,
                        const std::vector<Batch>& microbatches, const StepInput& input) {
  try {
    return launch_step(engine, optimizer, guard, microbatches, input);
  } catch (const c10::OutOfMemoryError&) {
    models::MicrobatchShape largest;
    for (const auto& batch : microbatches)
      if (batch.tokens() > largest.tokens) largest = {batch.tokens(), batch.longest()};
    throw no_memory_left(engine, optimizer, largest, input.advisor);
  }
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

// Throws NumericError for what is not finite in the step's numbers, naming where it began.
static void check_step(engine::Engine& engine, const LaunchedStep& step, const StepNumbers& numbers) {
  const double* losses = step.numbers.const_data_ptr<double>();
  for (size_t m = 0; m < step.microbatches.size(); ++m)
    if (!std::isfinite(losses[m]))
      report_loss(engine, step.microbatches[m], 1.0 / static_cast<double>(step.trained_tokens), losses[m],
                  fmt::format("step {}", step.step),
                  "nothing was saved over; lower the learning rate, or look at the data of this step");
  if (!std::isfinite(numbers.grad_norm)) optim::read_norm(step.norm, step.step);
}

StepNumbers read_step(engine::Engine& engine, const LaunchedStep& step, const optim::StepGuard& guard) {
  if (step.ready) step.ready->synchronize();
  const double* values = step.numbers.const_data_ptr<double>();
  const size_t count = step.microbatches.size();
  StepNumbers numbers{.grad_norm = values[count]};
  for (size_t m = 0; m < count; ++m) numbers.loss += values[m];
  const double scale = values[count + 1];
  if (scale > 0) numbers.loss_scale = scale;
  const bool updated = std::isfinite(numbers.grad_norm);
  if (!updated && std::isfinite(numbers.loss) && guard.may_overflow(scale)) {
    numbers.skipped = fmt::format("step {}: the gradients overflow at a loss scale of {:g}", step.step, scale);
    return numbers;
  }
  try {
    check_step(engine, step, numbers);
  } catch (const NumericError& error) {
    if (updated || guard.non_finite() == optim::NonFinite::Stop) throw;
    numbers.skipped = error.what();
  }
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
