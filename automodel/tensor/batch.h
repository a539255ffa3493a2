// Batch: a packed microbatch, what blocks only look at. Flow: what is differentiated between blocks. Context: where we
// are.
#pragma once

#include <ATen/core/Tensor.h>

#include <any>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "automodel/base/random.h"

namespace automodel {

inline constexpr int64_t kIgnoreLabel = -100;

/// Documents laid end to end; attention never crosses their borders. T tokens, D documents.
struct Batch {
  at::Tensor ids;                   // [T] int64
  at::Tensor labels;                // [T] int64: the target of position t, already shifted; kIgnoreLabel is not trained
  at::Tensor positions;             // [T] int64, counted from 0 in each document
  std::vector<int64_t> cu_seqlens;  // [D + 1], on the host: document d is [cu_seqlens[d], cu_seqlens[d + 1])
  at::Tensor borders;               // the same on the device, [D + 1] int32, where kernels look it up; else undefined
  int64_t trained_tokens = 0;       // labels that are not kIgnoreLabel

  int64_t tokens() const { return cu_seqlens.back(); }
  int64_t documents() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  int64_t longest() const;  // tokens of the longest document
  /// The batch on a device, copied without waiting for it. On the CPU: itself.
  Batch to(at::Device device) const;
};

/// Packs documents; labels may be empty: then the next token is the target and the last position is not trained.
/// Throws DataError for unequal lengths, an empty document, or ids outside int32.
Batch make_batch(const std::vector<std::vector<int32_t>>& ids, const std::vector<std::vector<int32_t>>& labels = {});

/// A scalar that the backward starts from: value is a sum over the batch, already divided by its global count.
struct LossTerm {
  std::string name;
  at::Tensor value;  // 0-dim, differentiable
  double weight = 1;
};

struct Flow {
  at::Tensor hidden;                         // [T, H]
  std::map<std::string, at::Tensor> extras;  // assigned once by a block, read by later ones
  std::vector<LossTerm> losses;
};

/// Keys and values of the tokens seen so far, one entry an attention layer; used by generation only.
struct LayerCache {
  at::Tensor keys, values;  // [capacity, kv heads, head dim]
  int64_t length = 0;
};
struct Cache {
  std::vector<LayerCache> layers;
  int64_t length = 0;  // tokens seen before this forward: the first position of the batch
};

/// Where we are in the run, and what is kept for the length of one microbatch.
struct Context {
  bool training = false;     // dropout on
  bool recomputing = false;  // counters and histories must not change
  bool remakes = false;      // outputs of norms and activations are made again in the backward, not kept
  RandomKey key{0};          // of (seed, step, microbatch); blocks and ops derive theirs from it
  double loss_scale = 1;     // 1 / global count of trained tokens of the step
  Cache* cache = nullptr;
  /// Things computed once a microbatch and shared by layers (rope tables), by a name that says all they depend on.
  std::map<std::string, std::any> memo;
};

}  // namespace automodel
