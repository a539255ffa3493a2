// What a run would be: sizes, memory by kind, batches, steps. Reads no weights.
#pragma once

#include <string>

#include "automodel/base/json.h"
#include "automodel/config/recipe_config.h"
#include "automodel/recipes/memory_plan.h"

namespace automodel::recipes {

struct Plan {
  std::string recipe;           // of which this is the plan: as the file or --recipe says
  bool has_benchmark = false;   // it is none, but the file says how to measure one: `automodel benchmark` would run it
  bool bundled_config = false;  // the program's own of this Hub id (models/known_models.h)
  std::string model_type, dtype;
  at::Device device = at::kCPU;             // whose arithmetic the memory is counted by
  std::string device_name;                  // "NVIDIA H200", "CPU"; "" where there is no such device here
  std::optional<uint64_t> host_free_bytes;  // of the machine, where nothing else limits a run on the CPU
  int64_t parameters = 0, trained_parameters = 0;
  MemoryPlan memory;                              // by kind and by choice of recomputation; of the largest microbatch
  nn::Recompute recompute = nn::Recompute::None;  // as the run would choose
  std::optional<AvailableMemory> available;       // what is held against it; nothing where nothing is known
  std::string pairs_kept;                         // why attention keeps all pairs of tokens; "": it does not
  std::string advice;                             // what would fit; "" if it fits
  bool length_known = true;                       // of the largest microbatch; else from the rows looked at
  int64_t rows = 0, microbatch_tokens = 0, tokens_per_step = 0, grad_acc_steps = 0;
  double trained_share = 0;                             // of the tokens, from a sample of rows
  std::optional<int64_t> steps_per_epoch, total_steps;  // of the first epoch; of the run
  bool steps_counted = false;  // all rows of all epochs were read; else the steps follow from a sample of rows
  int64_t rows_sampled = 0;

  uint64_t total_bytes() const { return memory.total(recompute); }
  bool held_to_limit() const { return available && available->is_limit; }
  bool fits() const { return !available || total_bytes() <= available->safe; }
  Json json() const;
  std::string text() const;
};

/// `device: cuda` is counted as on a GPU also where none is. Throws what opening the model's config, the tokenizer and
/// the data throws.
Plan plan(const config::RecipeConfig& config);

}  // namespace automodel::recipes
