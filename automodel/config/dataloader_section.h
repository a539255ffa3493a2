// dataloader and validation_dataloader: the order of samples and the threads that make them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace automodel::config {

struct DataloaderSection {
  /// A new O(1) permutation of our own each epoch, from `seed`; nullopt: for training yes, for validation no.
  std::optional<bool> shuffle;
  int64_t num_workers = 0;
  bool drop_last = false;
  bool group_by_length = false;
  std::optional<int64_t>
      batch_size;  ///< validation: samples in one microbatch; training: step_scheduler.local_batch_size or nullopt

  template <class F>
  void describe(F& f) {
    f("shuffle", shuffle, "a new order of the samples each epoch; null: when training, not when validating",
      "bool|null");
    f("num_workers", num_workers, "threads that tokenize and pack ahead of the training", "int[0,1024]");
    f("drop_last", drop_last, "accepted; the last samples of an epoch are trained all the same");
    f("group_by_length", group_by_length, "accepted; batches are packed, so like lengths save nothing");
    f("batch_size", batch_size,
      "validation: samples in a microbatch; null, and the only other value for training: "
      "step_scheduler.local_batch_size",
      "int[1,]|null");
  }
};

}  // namespace automodel::config
