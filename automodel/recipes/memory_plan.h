// What a run will take of a device's memory, by kind and by each choice of recomputation: known before weights are
// read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "automodel/base/error.h"
#include "automodel/config/recipe_config.h"
#include "automodel/data/loader.h"
#include "automodel/models/activations.h"
#include "automodel/optim/memory.h"

namespace automodel::recipes {

struct RecomputeChoice {
  nn::Recompute recompute;
  models::ActivationMemory activations;
  double relative_time;  // of a step; nothing run twice: 1
};

struct MemoryPlan {
  optim::TrainingMemory kept;
  models::MicrobatchShape microbatch;    // the largest one
  std::vector<RecomputeChoice> choices;  // none, selective, full: from the largest to the smallest

  const RecomputeChoice& choice(nn::Recompute recompute) const;
  uint64_t total(nn::Recompute recompute) const;
  /// The fastest that fits; nothing if none does.
  std::optional<nn::Recompute> fastest_in(uint64_t bytes) const;
};

/// The largest microbatch as the configuration alone tells it: packs and random tokens are of one length. Nothing where
/// the rows decide. `max_positions` is the model's.
std::optional<models::MicrobatchShape> known_microbatch(const config::RecipeConfig& config, int64_t max_positions);
/// The same where the rows decide: as many as local_batch_size of the longest of those that were looked at.
models::MicrobatchShape sampled_microbatch(const config::RecipeConfig& config, const data::EpochEstimate& estimate);

/// Arithmetic on shapes; needs no values. `model` with its adapters, and its device set.
MemoryPlan plan_memory(const models::DecoderSpec& spec, const nn::Model& model, const optim::AdamSettings& settings,
                       const models::MicrobatchShape& microbatch);

/// What a device offers.
struct AvailableMemory {
  uint64_t bytes = 0;     // what is free on a GPU, or distributed.memory_limit_gib if that is less than is safe
  uint64_t safe = 0;      // of them what tensors may fill: less what libraries load on a GPU and what its allocator's
                          // pieces leave unused. Every plan, choice, refusal and advice is held to this
  bool is_limit = false;  // both are distributed.memory_limit_gib
};
/// What of a GPU's `bytes` tensors can fill when its libraries are loaded: all but the pieces that the allocator's
/// blocks leave unused.
uint64_t without_pieces(uint64_t bytes);
/// "139.2 GiB are free", or where tensors may fill less "135.7 GiB of 139.2 GiB that are free may be filled"; of a
/// limit "distributed.memory_limit_gib allows 80.0 GiB".
std::string free_text(const AvailableMemory& available);
/// On the CPU, and on a GPU that is not here, only the limit, and nothing without one.
std::optional<AvailableMemory> available_memory(const config::RecipeConfig& config, at::Device device);

/// distributed.activation_checkpointing as a choice; nothing for auto. false and none, true and full are the same.
std::optional<nn::Recompute> asked_recompute(const config::RecipeConfig& config);
/// What auto takes: the fastest that fits, full where none does, none where nothing is known of the memory.
nn::Recompute automatic_recompute(const MemoryPlan& plan, const std::optional<AvailableMemory>& available);
std::string recompute_name(nn::Recompute recompute);  // "none", "selective", "full"

/// Answers "what would fit" for one run: built before the weights are read, asked again when the memory is full.
class MemoryAdvisor {
 public:
  MemoryAdvisor(const config::RecipeConfig& config, models::DecoderSpec spec, const nn::Model& model);

  const optim::AdamSettings& settings() const { return settings_; }
  MemoryPlan plan(const models::MicrobatchShape& microbatch) const;
  /// Changes of one key each after which a microbatch of this shape, or a smaller one, fits into `available`, with what
  /// it takes then: "distributed.activation_checkpointing: selective (40.2 GiB)". If no single one suffices, what those
  /// that make it less take together, and if that is too much, what does not depend on the batch. Nothing is named that
  /// is set already or would not help; `is_limit`: `available` is distributed.memory_limit_gib.
  std::string what_fits(const models::MicrobatchShape& microbatch, nn::Recompute now, uint64_t available,
                        bool is_limit = false) const;
  /// Where it does not fit into what is safe: what is needed, by kind, and what would fit, with `device` in front.
  std::optional<SystemError> shortage(const models::MicrobatchShape& microbatch, nn::Recompute recompute,
                                      const AvailableMemory& available, const std::string& device) const;

 private:
  uint64_t total(const models::MicrobatchShape& microbatch, nn::Recompute recompute,
                 const optim::AdamSettings& settings) const;
  /// A run as changes of several keys make it.
  struct Changed {
    models::MicrobatchShape microbatch;
    int64_t rows;  // of the microbatch
    nn::Recompute recompute;
    optim::AdamSettings settings;
    uint64_t bytes = 0;
    std::vector<std::string> changes;  // "KEY: VALUE" each
  };
  std::vector<std::string> single_changes(const models::MicrobatchShape& microbatch, nn::Recompute now,
                                          uint64_t available) const;
  /// Whether masters of the weights can be kept as their remainders, and are not yet.
  bool can_split(const optim::AdamSettings& settings) const;
  /// Takes `changed` for `best` if it is less.
  void take_if_less(Changed& best, Changed changed, const std::string& change) const;
  /// All changes that make it less; of the length only where that is what makes it fit.
  Changed all_changes(const models::MicrobatchShape& microbatch, nn::Recompute now, uint64_t available) const;
  std::string why_too_much(const Changed& least, uint64_t available, bool is_limit) const;

  int64_t local_batch_size_, global_batch_size_;
  std::string length_key_;
  bool adapters_;
  optim::AdamSettings settings_;
  models::DecoderSpec spec_;
  const nn::Model& model_;
};

}  // namespace automodel::recipes
