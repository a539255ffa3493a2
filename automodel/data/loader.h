// Loader: a data set as an endless row of epochs of microbatches, made ahead of need in the background.
//
//   Loader loader(open_rows(...), std::make_shared<ChatBuilder>(...), options);
//   while (auto batch = loader.next()) ...   // one epoch; the next call begins the next one
//
// Order, packs and batches are a function of the data, the options and the seed alone: not of threads, timing or where
// the run was interrupted. Of n ranks each takes every n-th microbatch of this one row: what the ranks get between them
// is what one process gets, whatever n is. Memory is bounded: `read_ahead` rows, the packing window and `prefetch`
// microbatches. next(), state() and the other members are for one thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "automodel/data/microbatches.h"
#include "automodel/data/read_ahead.h"
#include "automodel/tensor/batch.h"

namespace automodel::data {

struct LoaderOptions {
  ReadOptions read;
  PackOptions pack;
  int64_t threads = 1;      // that read and tokenise
  int64_t read_ahead = 64;  // rows
  int64_t prefetch = 4;     // microbatches made ahead, also into the next epoch
  /// The rows are all that the run will ask for, drawn for its max_steps: their end is no end of an epoch, so that a
  /// run with more steps goes on from there.
  bool rows_are_run = false;
  int64_t rank = 0, ranks = 1;  // which of how many data-parallel processes this is, see Loader::next()
  int64_t epochs = 0;           // nothing is made ahead after so many; 0: no end. One for validation sets
};

/// A guess at an epoch from some of its rows.
struct EpochEstimate {
  int64_t rows = 0, rows_read = 0;
  double tokens_per_row = 0, trained_share = 0;
  int64_t longest_row = 0;  // tokens, of those that were read
  int64_t microbatches = 0;
};

class Loader {
 public:
  Loader(std::shared_ptr<Rows> rows, std::shared_ptr<const SampleBuilder> builder, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;

  /// The next microbatch of this epoch; nothing at its end, once, after which the next epoch follows (the last
  /// microbatch of an epoch may hold fewer packs). Rank r of n gets microbatches r, r + n, r + 2n, ... of the epoch, so
  /// that a steps of accumulation on n ranks are the same packs as a * n on one; all ranks make the same number of
  /// calls, and where the epoch's last n are not full, those behind its end get a batch without documents. Every rank
  /// reads every row: what a pack holds depends on all rows before it (a TokenCache spares the tokenising). After
  /// `epochs` epochs always nothing. Throws a row's fault at the place where it lies.
  std::optional<Batch> next();
  /// Up to `count` microbatches of this epoch (the accumulation steps of one optimizer step); empty at its end.
  std::vector<Batch> next_group(int64_t count);
  /// Whether next() would give nothing: this epoch is used up. Waits until that is known. Never with rows_are_run.
  bool at_epoch_end();
  int64_t epoch() const { return state_.epoch; }

  /// Where the run stands after what next() has given, the same on all ranks, and for any number of them. restore()
  /// continues exactly there, in this or another process,
  /// with the same data and options; throws CheckpointError naming what differs.
  Json state() const;
  void restore(const Json& state);
  /// Back to where the last next_group() began, whether it gave a group or threw: for a group that was not used.
  void step_back();
  /// Back to the beginning of epoch 0.
  void rewind();

  /// Of the run so far, as next() has given it to all ranks together.
  const Statistics& statistics() const { return state_.statistics; }
  /// The same as one line, with the sources of a mixture by name.
  std::string summary() const;
  /// What users should know of how the samples read so far were made (SampleBuilder::notes).
  std::vector<std::string> notes() const { return reader_->notes(); }

  /// Microbatches of an epoch (of one rank) where rows tell it: no packing, nothing split, dropped or skipped. Counts
  /// the rows.
  std::optional<int64_t> microbatches_per_epoch() const;
  /// Whether epoch 0 never ends (Rows::endless).
  bool endless() const { return reader_->rows().endless(); }
  /// Exactly, by reading the whole epoch: as slow as tokenising it.
  int64_t count_microbatches(int64_t epoch = 0) const;
  /// From `sample` rows spread over the data.
  EpochEstimate estimate_epoch(int64_t sample = 256) const;

 private:
  struct Made {                  // what the background hands over
    std::optional<Batch> batch;  // nothing: the epoch ended
    StreamState after;
    std::exception_ptr error;
  };
  using Documents = std::vector<Document>;
  std::optional<Documents> take_own(Microbatches& microbatches, StreamState& after) const;
  int64_t of_one_rank(int64_t microbatches) const { return (microbatches + options_.ranks - 1) / options_.ranks; }
  void start();
  void stop();
  void produce(StreamState state);
  Made make_next(Microbatches& microbatches) const;
  Made& wait_for_next();
  Json fingerprint() const;

  std::shared_ptr<const RowReader> reader_;
  LoaderOptions options_;
  StreamState state_, before_group_;
  std::mutex mutex_;
  std::condition_variable room_, made_;
  std::deque<Made> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace automodel::data
