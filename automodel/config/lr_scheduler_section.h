// lr_scheduler: the learning rate (and weight decay) over steps. Without the section the learning rate is constant.
//
// Source: Megatron's OptimizerParamScheduler as NeMo AutoModel uses it. Warm-up: init + (max - init) * n / warmup for n
// <= warmup, where n counts completed steps. Defaults that depend on the run are std::nullopt here: init_lr 0.1 lr,
// max_lr lr, min_lr 0.01 lr, lr_warmup_steps min(1000, total / 10), lr_decay_steps total.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace automodel::config {

struct LrSchedulerSection {
  std::optional<double> init_lr, max_lr, min_lr;
  std::optional<int64_t> lr_warmup_steps, lr_decay_steps;
  std::string lr_decay_style = "cosine";
  std::optional<int64_t> wsd_decay_steps;
  std::optional<std::string> lr_wsd_decay_style;
  std::optional<double> start_wd, end_wd;
  std::optional<int64_t> wd_incr_steps;
  std::string wd_incr_style = "constant";

  template <class F>
  void describe(F& f) {
    f("init_lr", init_lr, "learning rate at step 0 of the warm-up; null: 0.1 lr", "float[0,]|null");
    f("max_lr", max_lr, "learning rate after the warm-up; null: optimizer.lr", "float[0,]|null");
    f("min_lr", min_lr, "learning rate at the end of the decay; null: 0.01 lr", "float[0,]|null");
    f("lr_warmup_steps", lr_warmup_steps, "steps of linear warm-up; null: min(1000, total / 10)", "int[0,]|null");
    f("lr_decay_steps", lr_decay_steps, "step at which the decay ends; null: the run's steps", "int[1,]|null");
    f("lr_decay_style", lr_decay_style, "shape of the decay", "=cosine|=linear|=constant|=inverse-square-root|=WSD");
    f("wsd_decay_steps", wsd_decay_steps, "steps of the final decay of WSD", "int[1,]|null");
    f("lr_wsd_decay_style", lr_wsd_decay_style, "shape of WSD's final decay",
      "=linear|=cosine|=exponential|=minus_sqrt|null");
    f("start_wd", start_wd, "weight decay at step 0; null: optimizer.weight_decay", "float[0,]|null");
    f("end_wd", end_wd, "weight decay at the end; null: optimizer.weight_decay", "float[0,]|null");
    f("wd_incr_steps", wd_incr_steps, "steps over which the weight decay changes; null: the run's steps",
      "int[0,]|null");
    f("wd_incr_style", wd_incr_style, "shape of the weight decay's change", "=constant|=linear|=cosine");
  }
};

}  // namespace automodel::config
