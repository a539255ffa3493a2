#include "automodel/data/mixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "automodel/base/error.h"
#include "automodel/base/random.h"

namespace automodel::data {

static constexpr uint64_t kMixStream = 0x6d69786f, kSourceStream = 0x6d697872;

static std::vector<int64_t> sums_before(const std::vector<int64_t>& counts) {
  std::vector<int64_t> sums(counts.size());
  std::exclusive_scan(counts.begin(), counts.end(), sums.begin(), int64_t{0});
  return sums;
}

Mixture::Mixture(std::vector<MixtureSource> sources) : sources_(std::move(sources)) {
  AM_CHECK(!sources_.empty(), "a mixture of nothing");
  size_t weighted = 0;
  for (const auto& source : sources_) {
    sizes_.push_back(source.rows->size());
    if (sizes_.back() == 0) throw DataError(source.name, "has no rows");
    if (!(source.epochs > 0) || !std::isfinite(source.epochs))
      throw ConfigError("dataset.sources",
                        fmt::format("epochs of {} is {}, expected more than 0", source.name, source.epochs));
    if (source.weight && (!(*source.weight > 0) || !std::isfinite(*source.weight)))
      throw ConfigError("dataset.sources",
                        fmt::format("weight of {} is {}, expected more than 0", source.name, *source.weight));
    weighted += source.weight.has_value();
  }
  if (weighted > 0 && weighted < sources_.size())
    throw ConfigError("dataset.sources", "some sources have a weight and some have none",
                      "give all of them one, or none");
  weighted > 0 ? count_by_weights() : count_by_epochs();
  for (size_t i = 0; i < counts_.size(); ++i)
    if (counts_[i] == 0)
      throw ConfigError("dataset.sources", fmt::format("{} would give no row of its {}", sources_[i].name, sizes_[i]),
                        "raise its weight or epochs, or leave it out");
  first_index_ = sums_before(sizes_);
  first_slot_ = sums_before(counts_);
  size_ = first_slot_.back() + counts_.back();
}

std::vector<MixtureShare> Mixture::shares() const {
  std::vector<MixtureShare> shares;
  for (size_t i = 0; i < sources_.size(); ++i)
    shares.push_back({sources_[i].name, sources_[i].weight, sources_[i].epochs, sizes_[i], counts_[i]});
  return shares;
}

void Mixture::count_by_epochs() {
  for (size_t i = 0; i < sources_.size(); ++i)
    counts_.push_back(std::llround(sources_[i].epochs * static_cast<double>(sizes_[i])));
}

void Mixture::count_by_weights() {
  double sum = 0, rows = INFINITY;
  for (const auto& source : sources_) sum += *source.weight;
  for (size_t i = 0; i < sources_.size(); ++i)
    rows = std::min(rows, sources_[i].epochs * static_cast<double>(sizes_[i]) * sum / *sources_[i].weight);
  for (const auto& source : sources_)  // a little above, so that a share that is whole stays whole
    counts_.push_back(static_cast<int64_t>(rows * *source.weight / sum * (1 + 1e-12) + 1e-9));
}

/// The source and the place in its share at a position where sources first..last-1 alternate: halves of the list take
/// turns as evenly as their sizes allow, and so on within each half.
std::pair<size_t, int64_t> Mixture::alternate(size_t first, size_t last, int64_t position) const {
  if (last - first == 1) return {first, position};
  const size_t middle = (first + last) / 2;
  const auto slot = [&](size_t i) { return i < first_slot_.size() ? first_slot_[i] : size_; };
  const __int128 left = slot(middle) - slot(first), all = slot(last) - slot(first);
  const auto of_left = [&](int64_t count) {
    return static_cast<int64_t>(count * left / all);
  };  // among the first count
  const int64_t before = of_left(position);
  if (of_left(position + 1) > before) return alternate(first, middle, before);
  return alternate(middle, last, position - before);
}

int64_t Mixture::index_at(int64_t epoch, int64_t position, const RowOrder& order) {
  const auto stage = static_cast<uint64_t>(epoch);
  size_t source = 0;
  int64_t place = 0;
  if (order.shuffle) {
    const Permutation slots(static_cast<uint64_t>(size_), RandomKey{order.seed, kMixStream, stage});
    const auto slot = static_cast<int64_t>(slots(static_cast<uint64_t>(position)));
    source =
        static_cast<size_t>(std::upper_bound(first_slot_.begin(), first_slot_.end(), slot) - first_slot_.begin()) - 1;
    place = slot - first_slot_[source];
  } else {
    std::tie(source, place) = alternate(0, sources_.size(), position);
  }
  const int64_t read = epoch * counts_[source] + place;  // rows of this source read before
  const int64_t own_epoch = read / sizes_[source];
  int64_t row = read % sizes_[source];
  if (order.shuffle) {
    const Permutation rows(static_cast<uint64_t>(sizes_[source]),
                           RandomKey{order.seed, kSourceStream, source, static_cast<uint64_t>(own_epoch)});
    row = static_cast<int64_t>(rows(static_cast<uint64_t>(row)));
  }
  return first_index_[source] + row;
}

int64_t Mixture::source_of(int64_t index) {
  return std::upper_bound(first_index_.begin(), first_index_.end(), index) - first_index_.begin() - 1;
}

Row Mixture::at(int64_t index) {
  const int64_t source = source_of(index);
  Row row = sources_[static_cast<size_t>(source)].rows->at(index - first_index_[static_cast<size_t>(source)]);
  row.source = source;
  return row;
}

std::vector<std::string> MixtureBuilder::notes() const {
  std::vector<std::string> notes;
  for (size_t i = 0; i < builders_.size(); ++i)
    for (const auto& note : builders_[i]->notes()) notes.push_back(names_[i] + ": " + note);
  return notes;
}

}  // namespace automodel::data
