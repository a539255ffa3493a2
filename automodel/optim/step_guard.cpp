#include "automodel/optim/step_guard.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_amp_update_scale.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <cmath>

#include "automodel/base/error.h"
#include "automodel/tensor/dtype.h"

namespace automodel::optim {

static constexpr int64_t kMostInARow = 100;  // skipped steps after which nothing is learnt any more

static bool wants_scale(const config::GradScalerSection& scaler, at::ScalarType model) {
  if (model == at::kHalf) return scaler.enabled != "false";
  auto other = scaler;
  other.enabled = "auto";
  if (scaler.enabled == "true" || !(other == config::GradScalerSection{}))
    throw ConfigError(
        "grad_scaler",
        fmt::format("scales the loss of float16 models, and this one is in {}, whose range needs no scale",
                    dtype_name(model)),
        "leave the section out, or set model.torch_dtype: float16");
  return false;
}

StepGuard::StepGuard(const config::GradScalerSection& scaler, NonFinite non_finite, at::ScalarType model,
                     at::Device device)
    : scaler_(scaler), non_finite_(non_finite) {
  if (!wants_scale(scaler, model)) return;
  if (scaler.init_scale < scaler.min_scale)
    throw ConfigError("grad_scaler.init_scale",
                      fmt::format("is {}, below grad_scaler.min_scale {}", scaler.init_scale, scaler.min_scale));
  scale_ = at::full({}, scaler.init_scale, at::TensorOptions(at::kFloat).device(device));
  good_steps_ = at::zeros({}, at::TensorOptions(at::kInt).device(device));
}

void StepGuard::update_scale(const GradientNorm& norm) {
  if (!scale_.defined()) return;
  at::NoGradGuard guard;
  const auto overflowed = at::isfinite(norm.total).logical_not().to(at::kFloat);
  at::_amp_update_scale_(scale_, good_steps_, overflowed, scaler_.growth_factor, scaler_.backoff_factor,
                         scaler_.growth_interval);
  scale_.clamp_min_(scaler_.min_scale);
}

void StepGuard::count_step(int64_t step, bool skipped) {
  skipped_in_a_row_ = skipped ? skipped_in_a_row_ + 1 : 0;
  skipped_steps_ += skipped;
  if (skipped_in_a_row_ >= kMostInARow)
    throw NumericError(
        fmt::format("step {}", step),
        fmt::format("the last {} steps had gradients that are not finite; all were skipped", kMostInARow),
        "go on from an earlier checkpoint with a lower learning rate");
}

Json StepGuard::state() const {
  if (!can_skip()) return Json::object();
  Json state = {{"skipped_steps", skipped_steps_}, {"skipped_in_a_row", skipped_in_a_row_}};
  if (scale_.defined()) state["loss_scale"] = scale_.item<double>(), state["good_steps"] = good_steps_.item<int64_t>();
  return state;
}

void StepGuard::restore(const Json& state) {
  const auto number = [&](const char* key) {
    const auto found = state.find(key);
    if (found == state.end() || !found->is_number() || !(found->get<double>() >= 0) ||
        !std::isfinite(found->get<double>()))
      throw CheckpointError("state.json", fmt::format("optimizer.{} is no number of at least 0", key),
                            "the checkpoint is damaged, or of a run without a loss scale");
    return found->get<double>();
  };
  skipped_steps_ = skipped_in_a_row_ = 0;
  if (!can_skip() || (state.empty() && !scale_.defined())) return;
  skipped_steps_ = static_cast<int64_t>(number("skipped_steps"));
  skipped_in_a_row_ = static_cast<int64_t>(number("skipped_in_a_row"));
  if (!scale_.defined()) return;
  at::NoGradGuard guard;
  scale_.fill_(number("loss_scale"));
  good_steps_.fill_(static_cast<int64_t>(number("good_steps")));
}

}  // namespace automodel::optim
