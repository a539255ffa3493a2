// loss_fn (or `loss`): cross entropy over the trained tokens, summed and divided by their global count.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace automodel::config {

struct LossSection {
  std::string kind = "cross_entropy";  ///< native name of `_target_`
  int64_t ignore_index = -100;
  std::optional<double> logit_softcapping;

  template <class F>
  void describe(F& f) {
    f.target("loss_fn", kind);
    f("ignore_index", ignore_index, "label of a token that is not trained", "=-100");
    f("logit_softcapping", logit_softcapping, "logits become c tanh(logits / c); null: as the model's config says",
      "float[0,]|null");
  }
};

}  // namespace automodel::config
