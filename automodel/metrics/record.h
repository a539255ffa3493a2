// What a recipe tells after a step and after a validation; the names are those that NeMo AutoModel writes to its JSONL
// files.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace automodel::metrics {

/// One optimizer step. What is not finite or not known is written as null.
struct StepRecord {
  int64_t step = 0;                 // from 0
  int64_t epoch = 0;                // from 0
  double loss = 0;                  // mean over the step's trained tokens, with the weights before the update
  std::optional<double> grad_norm;  // before clipping
  double lr = 0;                    // after the schedule's step: LrSchedule::lr(step + 1)
  int64_t num_tokens_per_step = 0;  // tokens that went through the model, without padding, over all ranks
  int64_t num_label_tokens = 0;     // trained tokens, over all ranks
  std::optional<uint64_t>
      memory_bytes;           // peak of the device since the last record; none: resident memory of the process
  std::optional<double> mfu;  // share of the device's peak, where known
  bool log_remote = true;     // also to TensorBoard
  std::map<std::string, double> extra;  // further named numbers
};

/// One pass over one validation set.
struct ValRecord {
  std::string name = "default";  // validation.jsonl; another name writes validation_NAME.jsonl
  int64_t step = 0, epoch = 0;
  double val_loss = 0;  // mean over the set's trained tokens
  double lr = 0;
  int64_t num_label_tokens = 0;
  std::optional<uint64_t> memory_bytes;
  std::map<std::string, double> extra;
};

}  // namespace automodel::metrics
