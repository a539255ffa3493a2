// optimizer: which update rule, with which knobs and state dtypes.
//
// Defaults are those of torch.optim.AdamW, but for the states: fp32 states and fp32 master weights for bf16 models
// unless state_dtype / master_weights say otherwise (NeMo AutoModel keeps them in the parameters' dtype).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace automodel::config {

/// Learning-rate and decay factors for the parameters in whose HF name the regular expression (ECMAScript) is found;
/// the first pattern that is found counts.
struct ParamGroupOverride {
  std::string pattern;
  double lr_mult = 1.0;
  double wd_mult = 1.0;

  template <class F>
  void describe(F& f) {
    f("pattern", pattern, "regular expression, searched for in the parameters' names");
    f("lr_mult", lr_mult, "factor on the learning rate", "float[0,]");
    f("wd_mult", wd_mult, "factor on the weight decay", "float[0,]");
  }
};

struct OptimizerSection {
  std::string kind = "adamw";  ///< native name of `_target_`: adam (decay added to the gradient) or adamw (decoupled)
  double lr = 1e-4;
  double weight_decay = 0.01;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  bool amsgrad = false;
  bool bias_correction = true;
  std::string state_dtype = "float32";
  std::string master_weights = "auto";        ///< auto, true, split, stochastic or false
  std::string grad_dtype = "auto";            ///< auto or a dtype
  std::string non_finite_gradients = "stop";  ///< stop or skip
  std::vector<ParamGroupOverride> param_group_overrides;

  template <class F>
  void describe(F& f) {
    f.target("optimizer", kind);
    f("lr", lr, "peak learning rate", "float[0,]");
    f("weight_decay", weight_decay, "decay per step, times the learning rate; applies to every trained parameter",
      "float[0,]");
    f("betas", betas, "decay of the first and second moment", "list<float[0,1)>");
    f("eps", eps, "added to the root of the second moment", "float[0,]");
    f("amsgrad", amsgrad, "keep the largest second moment", "bool");
    f("bias_correction", bias_correction, "divide the moments by 1 - beta^t", "bool");
    f("state_dtype", state_dtype, "dtype of the moments; bfloat16 is NeMo's behaviour for bf16 models",
      "dtype<float32|bfloat16>");
    f("master_weights", master_weights,
      "what parameters of less than fp32 keep besides themselves; true: fp32 copies; split: the 16 bits that bfloat16 "
      "lacks of them (the same numbers, 2 bytes less); stochastic: nothing, rounded by chance; false: nothing, rounded "
      "to nearest; auto: true where state_dtype is float32",
      "bool|=auto|=split|=stochastic");
    f("grad_dtype", grad_dtype,
      "dtype in which gradients are summed; auto: the weight's own where the states have it too, else float32",
      "dtype|=auto");
    f("non_finite_gradients", non_finite_gradients,
      "a step whose gradients are NaN or infinite never touches the weights; stop: it ends the run, naming the tensor; "
      "skip: it is told and counted, and the run goes on, unless 100 in a row were so",
      "=stop|=skip");
    f.list("param_group_overrides", param_group_overrides, "learning-rate and decay factors by parameter name");
  }
};

}  // namespace automodel::config
