// What stands between the gradients of a step and its update: the loss scale of fp16 training, and what becomes of a
// step whose gradients are not finite. Such a step never touches weights or states (Adam::step); here it is decided
// whether the run goes on.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "automodel/base/json.h"
#include "automodel/config/grad_scaler_section.h"
#include "automodel/optim/gradient.h"

namespace automodel::optim {

enum class NonFinite { Stop, Skip };

/// The loss is multiplied by a scale S before the backward, since fp16 has no numbers below 6e-8, and the gradients are
/// divided by it again (clip_gradients). Gradients that overflow are found by their norm; then S *= backoff_factor, but
/// not below min_scale, else after growth_interval good steps in a row S *= growth_factor, as torch.amp.GradScaler does
/// it. S lives on the device and moves there: the host waits for nothing.
class StepGuard {
 public:
  /// `model` is the dtype that gradients pass through. Throws ConfigError{"grad_scaler..."} where a scale is asked for
  /// and the model is not fp16.
  StepGuard(const config::GradScalerSection& scaler, NonFinite non_finite, at::ScalarType model, at::Device device);

  /// 0-dim fp32 on the device, for the loss (LossOptions::gradient_scale) and clip_gradients(): always this tensor, its
  /// value moves. Undefined: the loss is not scaled.
  const at::Tensor& scale() const { return scale_; }
  /// Moves the scale, after a step that had this norm.
  void update_scale(const GradientNorm& norm);

  /// Whether a step made at `scale` (0: not scaled) with gradients that are not finite is no fault: S falls.
  bool may_overflow(double scale) const { return scale > static_cast<float>(scaler_.min_scale); }
  NonFinite non_finite() const { return non_finite_; }
  /// Steps are counted as they are read. Throws NumericError for the 100th skipped one in a row.
  void count_step(int64_t step, bool skipped);
  int64_t skipped_steps() const { return skipped_steps_; }
  /// Whether a run can have skipped steps at all: then they are logged.
  bool can_skip() const { return scale_.defined() || non_finite_ == NonFinite::Skip; }

  /// {"loss_scale": 32768.0, "good_steps": 17, "skipped_steps": 3, "skipped_in_a_row": 1}; waits for the device. Empty
  /// unless can_skip().
  Json state() const;
  /// Takes what state() gave; {} is that of a run that could not skip, from which one without a loss scale can go on.
  /// Throws CheckpointError where a number is missing or makes no sense.
  void restore(const Json& state);

 private:
  config::GradScalerSection scaler_;
  NonFinite non_finite_;
  at::Tensor scale_, good_steps_;  // on the device
  int64_t skipped_steps_ = 0, skipped_in_a_row_ = 0;
};

}  // namespace automodel::optim
