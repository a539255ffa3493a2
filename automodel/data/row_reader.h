// RowReader: from a position in an epoch to the documents of the row that lies there. Pure and thread-safe, so any
// number of threads may read ahead and any position may be read again.
#pragma once

#include <exception>
#include <memory>

#include "automodel/data/packing.h"
#include "automodel/data/token_cache.h"

namespace automodel::data {

/// What to do with a row that cannot be used.
enum class OnFault { Stop, Skip };

/// Of one source of a mixture, in place of ReadOptions' own.
struct SourceReadOptions {
  std::string name;
  OnFault bad_rows = OnFault::Stop, untrained_rows = OnFault::Stop;
};

struct ReadOptions {
  bool shuffle = true;
  uint64_t seed = 42;
  int64_t max_tokens = 0;  // of a document; 0: no limit
  OverLong over_long = OverLong::Truncate;
  OnFault bad_rows = OnFault::Stop;        // malformed, rejected by the template, ids outside the vocabulary
  OnFault untrained_rows = OnFault::Stop;  // nothing is trained, though nothing was cut
  int64_t vocab_size = 0;                  // ids must be below; 0: not checked
  std::vector<SourceReadOptions> sources;  // of a mixture; else empty
  std::shared_ptr<TokenCache> cache;       // of these rows and this builder; may be empty
};

/// One position of an epoch.
struct ReadRow {
  bool exists = false;  // false: the epoch has ended before this position
  std::vector<Document> documents;
  Statistics counts;         // what this row adds (all but what is handed out)
  std::exception_ptr error;  // the row's fault, when it is to stop the run
};

class RowReader {
 public:
  RowReader(std::shared_ptr<Rows> rows, std::shared_ptr<const SampleBuilder> builder, ReadOptions options);

  /// Faults are put into the result, never thrown.
  ReadRow read(int64_t epoch, int64_t position) const;
  /// The row at a position of an epoch: a permutation seeded by (seed, epoch), or the position itself. O(1).
  int64_t row_index(int64_t epoch, int64_t position) const;

  Rows& rows() const { return *rows_; }
  const ReadOptions& options() const { return options_; }
  /// SampleBuilder::notes, of the rows read so far.
  std::vector<std::string> notes() const { return builder_->notes(); }

 private:
  Sample build(int64_t index) const;
  void make_documents(int64_t index, int64_t position, ReadRow& result) const;
  OnFault on_bad(int64_t source) const;
  OnFault on_untrained(int64_t source) const;
  std::shared_ptr<Rows> rows_;
  std::shared_ptr<const SampleBuilder> builder_;
  ReadOptions options_;
};

}  // namespace automodel::data
