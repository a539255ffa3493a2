// grad_scaler: the loss scale of float16 training; the knobs are those of torch.amp.GradScaler.
#pragma once

#include <cstdint>
#include <string>

namespace automodel::config {

struct GradScalerSection {
  std::string enabled = "auto";  ///< auto, true or false
  double init_scale = 65536;
  double growth_factor = 2;
  double backoff_factor = 0.5;
  int64_t growth_interval = 2000;
  double min_scale = 1;

  bool operator==(const GradScalerSection&) const = default;

  template <class F>
  void describe(F& f) {
    f("enabled", enabled, "scale the loss, so that small gradients do not vanish; auto: for float16 models",
      "bool|=auto");
    f("init_scale", init_scale, "the scale of the first step", "float[1,1e38]");
    f("growth_factor", growth_factor, "the scale is multiplied by it after growth_interval good steps in a row",
      "float(1,]");
    f("backoff_factor", backoff_factor,
      "the scale is multiplied by it after a step whose gradients overflowed, which "
      "is skipped",
      "float(0,1)");
    f("growth_interval", growth_interval, "good steps in a row before the scale grows", "int[1,]");
    f("min_scale", min_scale,
      "the scale falls no further; gradients that overflow even so are treated as optimizer.non_finite_gradients says",
      "float(0,1e38]");
  }
};

}  // namespace automodel::config
