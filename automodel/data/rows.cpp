#include "automodel/data/rows.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <mutex>

#include "automodel/base/error.h"
#include "automodel/base/random.h"
#include "automodel/data/array_file.h"
#include "automodel/data/arrow_file.h"
#include "automodel/data/csv_file.h"
#include "automodel/data/data_files.h"
#include "automodel/data/line_file.h"
#include "automodel/data/split_slice.h"

namespace automodel::data {
namespace {

class Chain : public Rows {  // several sources one after another
 public:
  explicit Chain(std::vector<std::unique_ptr<Rows>> parts) : parts_(std::move(parts)) {}
  bool has(int64_t index) override { return find(index).first < parts_.size(); }
  int64_t size() override {
    find(INT64_MAX);
    std::lock_guard lock(mutex_);
    return ends_.empty() ? 0 : ends_.back();
  }
  Row at(int64_t index) override {
    const auto [part, inner] = find(index);
    AM_CHECK(part < parts_.size(), "row {} of {}", index, size());
    Row row = parts_[part]->at(inner);
    row.index = index;
    return row;
  }

 private:
  /// The part that holds a row, and the row's place in it; parts_.size() behind the last. Only the parts in front are
  /// counted, and each once.
  std::pair<size_t, int64_t> find(int64_t index) {
    std::unique_lock lock(mutex_);
    size_t part = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
    while (part == ends_.size() && part < parts_.size()) {
      const int64_t before = part == 0 ? 0 : ends_.back();
      if (index != INT64_MAX && parts_[part]->has(index - before)) return {part, index - before};
      ends_.push_back(before + parts_[part]->size());
      part = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
    }
    return {part, index - (part == 0 ? 0 : ends_[part - 1])};
  }
  std::vector<std::unique_ptr<Rows>> parts_;
  std::mutex mutex_;
  std::vector<int64_t> ends_;  // of the parts that are counted
};

class Fetched : public Rows {  // a file that is fetched and opened when it is first touched
 public:
  explicit Fetched(DataFile file) : file_(std::move(file)) {}
  bool has(int64_t index) override { return rows().has(index); }
  int64_t size() override { return rows().size(); }
  Row at(int64_t index) override { return rows().at(index); }

 private:
  Rows& rows() {
    std::lock_guard lock(mutex_);
    if (!rows_) rows_ = open_file(file_.fetch());
    return *rows_;
  }
  DataFile file_;
  std::mutex mutex_;
  std::unique_ptr<Rows> rows_;
};

class Part : public Rows {  // a slice of a source, which may be shuffled first
 public:
  Part(std::unique_ptr<Rows> rows, SplitSlice slice, std::optional<uint64_t> shuffle_seed)
      : rows_(std::move(rows)), slice_(std::move(slice)), seed_(shuffle_seed) {
    if (seed_ || slice_.needs_size()) fix_range();
  }
  bool has(int64_t index) override {
    if (last_ >= 0) return index < last_ - first_;
    index += slice_.from.value_or(0);  // neither bound needs the size
    return (!slice_.to || index < *slice_.to) && rows_->has(index);
  }
  int64_t size() override {
    if (last_ >= 0) return last_ - first_;
    if (slice_.to && *slice_.to > 0 && rows_->has(*slice_.to - 1))
      return std::max<int64_t>(0, *slice_.to - slice_.from.value_or(0));
    const auto [first, last] = slice_.range(rows_->size());
    return last - first;
  }
  Row at(int64_t index) override {
    const int64_t inner = index + (last_ >= 0 ? first_ : slice_.from.value_or(0));
    Row row = rows_->at(seed_ ? static_cast<int64_t>(Permutation(static_cast<uint64_t>(rows_->size()),
                                                                 RandomKey{*seed_})(static_cast<uint64_t>(inner)))
                              : inner);
    row.index = index;
    return row;
  }

 private:
  void fix_range() { std::tie(first_, last_) = slice_.range(rows_->size()); }
  std::unique_ptr<Rows> rows_;
  SplitSlice slice_;
  std::optional<uint64_t> seed_;
  int64_t first_ = 0, last_ = -1;
};

class Repeated : public Rows {
 public:
  explicit Repeated(std::unique_ptr<Rows> rows) : rows_(std::move(rows)) {}
  bool has(int64_t index) override { return rows_->has(index) || rows_->size() > 0; }
  int64_t size() override { return rows_->size(); }
  bool endless() const override { return true; }
  int64_t index_at(int64_t epoch, int64_t position, const RowOrder& order) override {
    if (!order.shuffle && rows_->has(position)) return position;  // without counting the rows
    return rows_->index_at(epoch + position / rows_->size(), position % rows_->size(), order);
  }
  int64_t source_of(int64_t index) override { return rows_->source_of(index); }
  Row at(int64_t index) override { return rows_->at(index); }

 private:
  std::unique_ptr<Rows> rows_;
};

std::unique_ptr<Rows> chain(std::vector<std::unique_ptr<Rows>> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<Chain>(std::move(parts));
}

void allow_many_files() {  // every file of a data set stays open: as many as the system permits
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

}  // namespace

static constexpr uint64_t kShuffleStream =
    0x73687566;  // keeps the order's random numbers apart from others of the same seed

int64_t Rows::index_at(int64_t epoch, int64_t position, const RowOrder& order) {
  if (!order.shuffle) return position;
  const Permutation permutation(static_cast<uint64_t>(size()),
                                RandomKey{order.seed, kShuffleStream, static_cast<uint64_t>(epoch)});
  return static_cast<int64_t>(permutation(static_cast<uint64_t>(position)));
}

std::unique_ptr<Rows> repeat_rows(std::unique_ptr<Rows> rows) { return std::make_unique<Repeated>(std::move(rows)); }

std::unique_ptr<Rows> open_file(const std::string& path) {
  std::string ending = data_file_ending(path);
  if (ending == ".parquet" || ending == ".geoparquet") return std::make_unique<ArrowFile>(path, true);
  if (ending == ".arrow") return std::make_unique<ArrowFile>(path, false);
  for (const char* packing : {".gz", ".zst", ".bz2", ".xz"})  // unpacked below, or refused there
    if (ending.ends_with(packing)) ending.resize(ending.size() - std::string_view(packing).size());
  if (ending == ".csv") return std::make_unique<CsvFile>(path, ',');
  if (ending == ".tsv") return std::make_unique<CsvFile>(path, '\t');
  if (ending == ".jsonl" || ending == ".ndjson") return std::make_unique<LineFile>(path, LineFile::Format::Json);
  if (ending == ".txt" || ending == ".text") return std::make_unique<LineFile>(path, LineFile::Format::Text);
  if (ending == ".json") return std::make_unique<ArrayFile>(path);
  throw UnsupportedError(path, fmt::format("files ending in '{}' cannot be read by this build", ending),
                         "convert it to JSON lines (.jsonl): one object a line");
}

std::unique_ptr<Rows> open_rows(const RowsOptions& options) {
  if (options.paths.empty()) throw ConfigError("dataset", "names no file or folder");
  allow_many_files();
  DataPlace place{options.paths, options.name, options.revision, options.hub};
  std::vector<std::unique_ptr<Rows>> parts;
  for (const auto& slice : parse_split(options.split)) {
    const bool whole = !slice.from && !slice.to && !options.shuffle_seed;
    place.all_needed = slice.needs_size() || options.shuffle_seed || (whole && options.limit < 0);
    std::vector<std::unique_ptr<Rows>> files;
    for (auto& file : find_data_files(place, slice.name)) {
      if (file.path.empty())
        files.push_back(std::make_unique<Fetched>(std::move(file)));
      else
        files.push_back(open_file(file.path));
    }
    auto rows = chain(std::move(files));
    parts.push_back(whole ? std::move(rows) : std::make_unique<Part>(std::move(rows), slice, options.shuffle_seed));
  }
  auto rows = chain(std::move(parts));
  if (options.limit >= 0) {
    SplitSlice limit;
    limit.to = options.limit;
    rows = std::make_unique<Part>(std::move(rows), limit, std::nullopt);
  }
  return rows;
}

}  // namespace automodel::data
