// The learning rate and weight decay of every step, as a pure function of the number of completed steps.
//
// Equal to Megatron's OptimizerParamScheduler as NeMo AutoModel uses it. With n completed steps, W warm-up steps, D
// decay steps, p = (n - W) / (D - W):
//   n <= W (W > 0)        init + (max - init) n / W
//   constant              max
//   n > D                 min
//   inverse-square-root   max(min, max sqrt(max(W, 1)) / sqrt(max(n, 1)))
//   linear, cosine        min + (max - min) (1 - p)   or   min + (max - min) (1 + cos(pi p)) / 2
//   WSD                   max until D - S, then with q = (n - D + S) / S over the last S steps min + (max - min) c(q):
//                         linear 1 - q, cosine (1 + cos(pi q)) / 2, exponential 2 * 0.5^q - 1, minus_sqrt 1 - sqrt(q)
// Step s (counted from 0) is made with lr(s); the value logged for it is lr(s + 1), as NeMo logs after its scheduler's
// step.
#pragma once

#include <cstdint>
#include <string>

#include "automodel/config/lr_scheduler_section.h"

namespace automodel::optim {

class LrSchedule {
 public:
  /// Without a `lr_scheduler:` section: the same values at every step.
  static LrSchedule fixed(double lr, double weight_decay);

  /// `lr` and `weight_decay` are the optimizer's, `total_steps` the length of the run (StepScheduler::total_steps).
  /// Throws ConfigError{"lr_scheduler.KEY"}: unknown style, a warm-up not shorter than the decay, min_lr above max_lr,
  /// init_lr above max_lr, negative values, WSD without its two keys, a constant weight decay whose ends differ.
  static LrSchedule make(const config::LrSchedulerSection& settings, double lr, double weight_decay,
                         int64_t total_steps);

  /// REQUIRES completed_steps >= 0.
  double lr(int64_t completed_steps) const;
  double weight_decay(int64_t completed_steps) const;

  /// One line for the log: "cosine from 1e-05 to 1e-07 in 100 steps, 10 of warm-up from 1e-06".
  std::string describe() const;

 private:
  enum class Style { Constant, Linear, Cosine, InverseSquareRoot, Wsd };
  enum class WsdStyle { Linear, Cosine, Exponential, MinusSqrt };
  enum class Increment { Constant, Linear, Cosine };
  double decay_share(int64_t completed_steps) const;

  double init_lr_ = 0, max_lr_ = 0, min_lr_ = 0, start_wd_ = 0, end_wd_ = 0;
  int64_t warmup_steps_ = 0, decay_steps_ = 1, wsd_steps_ = 0, increment_steps_ = 0;
  Style style_ = Style::Constant;
  WsdStyle wsd_style_ = WsdStyle::Linear;
  Increment increment_ = Increment::Constant;
};

}  // namespace automodel::optim
