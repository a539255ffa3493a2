// Mixture: several sources read as one data set, in fixed shares.
//
// How many rows c_i of source i an epoch of the mixture reads, n_i being its rows:
//   without weights: c_i = epochs_i * n_i, to the nearest row;
//   with weights w_i (of all sources): c_i = N * w_i / sum(w), N being the largest number of rows for which no source
//   is read more than epochs_i times.
// A source goes through its own epochs, each in an order of its own, and the next epoch of the mixture goes on where
// this one stopped: after many epochs all its rows have been read equally often. Shuffled, the rows of an epoch lie in
// a seeded order; otherwise the sources alternate as evenly as their shares allow. Everything is a function of (seed,
// epoch, position) and found in O(log sources).
#pragma once

#include <optional>

#include "automodel/data/sample.h"

namespace automodel::data {

struct MixtureSource {
  std::string name;  // for messages and counts
  std::shared_ptr<Rows> rows;
  std::optional<double> weight;
  double epochs = 1;
};

/// What an epoch of a mixture reads of a source.
struct MixtureShare {
  std::string name;
  std::optional<double> weight;
  double epochs = 1;                    // as asked
  int64_t rows = 0, rows_of_epoch = 0;  // its own; read in an epoch of the mixture
};

class Mixture : public Rows {
 public:
  /// Counts the rows of every source. Throws ConfigError for weights that only some sources have or that are not
  /// positive, and for shares that leave a source without a row; DataError for an empty source.
  explicit Mixture(std::vector<MixtureSource> sources);

  bool has(int64_t index) override { return index < size_; }
  int64_t size() override { return size_; }
  int64_t index_at(int64_t epoch, int64_t position, const RowOrder& order) override;
  int64_t source_of(int64_t index) override;
  /// `index` counts through all rows of all sources, one source after another.
  Row at(int64_t index) override;

  /// Rows of each source in an epoch.
  const std::vector<int64_t>& rows_of_epoch() const { return counts_; }
  std::vector<MixtureShare> shares() const;

 private:
  void count_by_epochs();
  void count_by_weights();
  std::pair<size_t, int64_t> alternate(size_t first, size_t last, int64_t position) const;
  std::vector<MixtureSource> sources_;
  std::vector<int64_t> sizes_, counts_, first_index_, first_slot_;  // first_*: sums of what lies before
  int64_t size_ = 0;
};

/// Builds each row's sample by the builder of its source.
class MixtureBuilder : public SampleBuilder {
 public:
  MixtureBuilder(std::vector<std::string> names, std::vector<std::shared_ptr<const SampleBuilder>> builders)
      : names_(std::move(names)), builders_(std::move(builders)) {}
  Sample build(const Row& row) const override { return builders_.at(static_cast<size_t>(row.source))->build(row); }
  std::vector<std::string> notes() const override;

 private:
  std::vector<std::string> names_;
  std::vector<std::shared_ptr<const SampleBuilder>> builders_;
};

}  // namespace automodel::data
