// Adam and AdamW over Parameters, equal to torch.optim's, with fp32 states and fp32 master weights by default.
//
// With gradient g (negated if maximize), step count t of the parameter, learning rate lr, weight decay wd:
//   Adam:   g += wd w            AdamW:  w -= lr wd w
//   m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2        (amsgrad: v^ = max(v^, v), used in v's place below)
//   w -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// A parameter without a gradient is skipped and its t stays, as in torch.
//
// Precision. States are fp32, and a weight of lower precision (bf16, fp16) has an fp32 master that is updated and then
// rounded into it: otherwise updates smaller than half a unit in the weight's last place are lost. `state_dtype:
// bfloat16` asks for NeMo AutoModel's torch.optim behaviour with bf16 weights: states in bf16 and no master. Within an
// element the arithmetic is fp32 in every case (torch's fused kernels). Gradients are summed in fp32, but in the
// weights' dtype where the states are in it too. `master_weights` chooses what a bf16 weight keeps (kernels'
// rounding.h):
//   Full        an fp32 copy, 4 bytes
//   Split       the 16 bits that the weight lacks of it, 2 bytes: bit for bit the numbers of Full
//   Stochastic  nothing: rounded up or down by chance, so that the mean is right; a bf16 v too (m forgets fast enough).
//               The chance is a function of (seed, update, name, element)
//   None        nothing: rounded to nearest
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "automodel/optim/adam_settings.h"
#include "automodel/optim/gradient.h"
#include "automodel/tensor/parameter.h"

namespace automodel::optim {

/// What must be kept to continue, for the rows of one Hugging Face name: views into the optimizer's storage, shaped and
/// laid out as the parameter's rows (ParameterSlice::transposed is not applied). Undefined tensors: not kept.
struct SliceState {
  at::Tensor step;            // 0-dim float: updates made so far
  at::Tensor exp_avg;         // m
  at::Tensor exp_avg_sq;      // v
  at::Tensor max_exp_avg_sq;  // amsgrad only
  at::Tensor master;          // fp32 weight: Master::Full
  at::Tensor remainder;       // int16, of the weight's fp32 value: Master::Split
};

class Adam {
 public:
  /// Takes the trainable parameters, each once, and sets the dtype of their gradients. Nothing is allocated until the
  /// first step(), state() or restore(): the masters then start from the weights as they are. Throws
  /// ConfigError{"optimizer.KEY"}: betas or eps out of range, a pattern that does not compile or matches no trainable
  /// parameter (or only such as an earlier one took), no parameter at all, fp16 weights with Split or Stochastic.
  Adam(const std::vector<ParameterPtr>& parameters, AdamSettings settings);

  /// One update of every parameter that has a gradient; gradients are left as they are. With the `norm` of the
  /// gradients: nothing changes if it is not finite, and on a GPU it clips on the way. Waits for no GPU.
  void step(double lr, double weight_decay, const GradientNorm& norm = {});
  void clear_grads();  // keeps the buffers

  /// Views by Hugging Face name; write into them to restore, or call restore().
  std::map<std::string, SliceState> state();
  /// The same as one flat map, "NAME.exp_avg", "NAME.exp_avg_sq", "NAME.step", "NAME.master", "NAME.remainder",
  /// "NAME.max_exp_avg_sq".
  std::map<std::string, at::Tensor> state_tensors();
  /// Copies from a flat map; a kept master also rewrites its weight; a remainder goes with the weight as saved. Throws
  /// CheckpointError{"optimizer state NAME.x"} for a missing, unknown or wrongly shaped tensor; nothing is changed
  /// then.
  void restore(const std::map<std::string, at::Tensor>& tensors);

  const std::vector<ParameterPtr>& parameters() const { return parameters_; }
  const AdamSettings& settings() const { return settings_; }
  bool has_states() const { return allocated_; }

  /// Bytes of states and masters that training `parameters` will take; needs no storage.
  static uint64_t state_bytes(const std::vector<ParameterPtr>& parameters, const AdamSettings& settings);

 private:
  // Rows [begin, begin + rows) of a parameter that share their multipliers: usually the whole.
  struct Unit {
    ParameterPtr parameter;
    size_t first_slice, slices;
    int64_t begin, rows;
    double lr_mult, wd_mult;
    uint64_t key;  // of its random numbers
    SliceState state;

    at::Tensor rows_of(const at::Tensor& whole) const { return whole.narrow(0, begin, rows); }
  };
  // The same-dtype lists of one fused call.
  struct Lists {
    std::vector<at::Tensor> weights, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps;
  };

  void allocate();
  void update(Lists& lists, double lr, double weight_decay) const;
  void update_mixed(Unit& unit, double lr, double weight_decay) const;
  void keep(Unit& unit, const Lists& updated) const;
  void update_on_gpu(double lr, double weight_decay, const at::Tensor& stats);

  AdamSettings settings_;
  std::vector<ParameterPtr> parameters_;
  std::vector<Unit> units_;
  bool allocated_ = false;
};

}  // namespace automodel::optim
