#include "automodel/loss/loss.h"

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::loss {

static kernels::HeadLoss cross_entropy(const LossOptions& options) {
  return [options](const at::Tensor& hidden, Parameter& weight, Parameter* bias, const at::Tensor& labels, double scale,
                   const kernels::CrossEntropyOptions& head) {
    auto all = head;
    if (options.logit_softcapping > 0) all.softcap = options.logit_softcapping;
    all.gradient_scale = options.gradient_scale;
    return kernels::linear_cross_entropy(hidden, weight, bias, labels, scale, all);
  };
}

struct Entry {
  std::string name;
  kernels::HeadLoss (*make)(const LossOptions&);
};
static const Entry kLosses[] = {{"cross_entropy", cross_entropy}};

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const auto& entry : kLosses) names.push_back(entry.name);
  return names;
}

kernels::HeadLoss make_loss(const LossOptions& options) {
  for (const auto& entry : kLosses)
    if (entry.name == options.name) return entry.make(options);
  throw ConfigError("loss_fn",
                    fmt::format("'{}' is not a loss; expected one of {}", options.name, join(loss_names(), ", ")));
}

}  // namespace automodel::loss
