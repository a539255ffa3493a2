// The head: logits, cross entropy and their gradients in chunks of tokens, so that the full logits never exist.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

struct CrossEntropyOptions {
  double softcap = 0;           // logits -> softcap * tanh(logits / softcap); 0: none
  double logit_scale = 1;       // logits are multiplied by it
  double label_smoothing = 0;   // (1 - s) * CE + s * mean over the vocabulary of -log p
  double z_loss = 0;            // + z * logsumexp^2
  int64_t chunk_tokens = 0;     // 0: logits_chunk_rows()
  int64_t trained_tokens = -1;  // labels that are not -100, where the caller knows: a GPU need not be asked
  at::Tensor gradient_scale;    // 0-dim fp32, on hidden's device: gradients, not the loss, times it; undefined: 1
};

/// Rows whose logits are there at a time, of a vocabulary of V: 32 MiB of them in fp32 but at least 16 rows; on a GPU
/// 512 MiB in 16 bits, at least 1024 rows.
int64_t logits_chunk_rows(int64_t V, bool gpu);

/// loss = scale * sum over t with labels[t] != -100 of CE(softmax(hidden[t] W^T + b), labels[t])
///
/// hidden [T, H] float dtype; weight [V, H]; bias [V] or nullptr; labels [T] int64 in [0, V) or -100
/// scale   usually 1 / global count of trained tokens; it is known before, so the gradients are made in the same pass
/// returns a 0-dim fp32 tensor, summed in fp64; logits and softmax are in fp32.
/// With gradients on, dW and db go to their sinks during this call (not in the backward), so a backward must follow;
/// only the rows that are trained pass through the head. Keeps d hidden, [trained rows, H].
/// On a GPU nothing is read back: all rows pass through the head, logits are rounded to the dtype of hidden, a label
/// outside the vocabulary makes the loss NaN instead of throwing, and the factor of the backward is taken to be 1.
/// source torch.nn.functional.cross_entropy(reduction="sum") * scale
at::Tensor linear_cross_entropy(const at::Tensor& hidden, Parameter& weight, Parameter* bias, const at::Tensor& labels,
                                double scale, const CrossEntropyOptions& options = {});

/// What fills the head's slot: (hidden [T, H], weight, bias or null, labels [T], scale, what the head does to logits)
/// -> 0-dim loss, with the contract of linear_cross_entropy().
using HeadLoss = std::function<at::Tensor(const at::Tensor&, Parameter&, Parameter*, const at::Tensor&, double,
                                          const CrossEntropyOptions&)>;

/// log p(labels[t]) of every token, 0 where the label is -100: [T] fp32. No gradient.
at::Tensor token_log_probs(const at::Tensor& hidden, Parameter& weight, Parameter* bias, const at::Tensor& labels,
                           const CrossEntropyOptions& options = {});

/// softcap(logit_scale * (hidden W^T + b)): [T, V] in fp32. No gradient; for generation and scoring.
at::Tensor head_logits(const at::Tensor& hidden, Parameter& weight, Parameter* bias,
                       const CrossEntropyOptions& options = {});

/// linear_cross_entropy by plain tensor operations on full logits.
at::Tensor linear_cross_entropy_reference(const at::Tensor& hidden, Parameter& weight, Parameter* bias,
                                          const at::Tensor& labels, double scale,
                                          const CrossEntropyOptions& options = {});

}  // namespace automodel::kernels
