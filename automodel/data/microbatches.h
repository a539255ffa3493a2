// Microbatches: the deterministic walk from rows to microbatches, epoch after epoch, without threads of its own.
//
// Everything it will yield is a pure function of its state: epoch, next position, and which documents (position, piece)
// wait in the packing window. So a run resumed in mid-epoch continues exactly, and the waiting documents are read
// again, not stored.
#pragma once

#include <functional>
#include <optional>

#include "automodel/data/row_reader.h"

namespace automodel::data {

struct PackOptions {
  int64_t local_batch_size = 1;      // packs of a microbatch; without packing, samples
  int64_t packed_sequence_size = 0;  // tokens of a pack; 0: no packing
  Packing packing = Packing::BestFit;
  int64_t window = 256;  // documents that FirstFit and BestFit choose from
  int64_t max_packs =
      0;  // the epoch ends after so many packs; 0: no limit. What still waits then is counted as dropped
};

struct StreamState {
  int64_t epoch = 0;
  int64_t position = 0;                              // the next row to read
  int64_t epoch_packs = 0;                           // taken in this epoch
  std::vector<std::pair<int64_t, int64_t>> pending;  // (position, piece) of the documents in the window, in order
  Statistics statistics;                             // of the whole run so far

  Json to_json() const;
  static StreamState from_json(const Json& json);  // throws CheckpointError
};

class Microbatches {
 public:
  /// Gives the row at the next position of the epoch in order; called again from (epoch, position) after begin.
  struct Source {
    std::function<void(int64_t epoch, int64_t position)> begin;
    std::function<ReadRow()> take;
  };
  Microbatches(std::shared_ptr<const RowReader> reader, PackOptions options, Source source, const StreamState& state);

  /// The documents of the next microbatch; empty when an epoch has ended (the next call begins the next one).
  /// Throws a row's fault, and DataError when an epoch yields nothing at all.
  std::vector<Document> next();
  /// Whether next() would give nothing; reads on until that is known, as next() would.
  bool at_epoch_end();
  StreamState state() const;

 private:
  void read_row();
  void end_epoch();
  void restore_pending(const StreamState& state);
  std::shared_ptr<const RowReader> reader_;
  PackOptions options_;
  Source source_;
  Packer packer_;
  int64_t epoch_, position_, epoch_packs_;
  Statistics statistics_;
  bool begun_ = false, ended_ = false;
};

}  // namespace automodel::data
