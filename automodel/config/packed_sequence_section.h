// packed_sequence: how many tokens go into one packed row. Batches are always packed; 0 packs each microbatch as it
// comes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace automodel::config {

struct PackedSequenceSection {
  int64_t packed_sequence_size = 0;  ///< tokens of a pack; a sample of the step scheduler is then one pack
  std::string packing_strategy = "thd";
  int64_t packing_window = 256;  ///< documents to choose from; of another window come other packs
  std::optional<int64_t> max_packs;
  bool drop_long_samples = false;

  template <class F>
  void describe(F& f) {
    f("packed_sequence_size", packed_sequence_size,
      "tokens of one pack of whole samples; 0: a microbatch is local_batch_size samples", "int[0,]|null");
    f("packing_strategy", packing_strategy, "thd: first fit in order; neat: best fit; sequential: as they come",
      "=thd|=neat|=sequential");
    f("packing_window", packing_window, "samples to wait for before thd and neat lay a pack", "int[1,]");
    f("max_packs", max_packs, "stop after this many packs", "int[1,]|null");
    f("drop_long_samples", drop_long_samples, "leave out samples longer than a pack (counted) instead of cutting them");
  }
};

}  // namespace automodel::config
