#include "automodel/data/rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/random.h"
#include "automodel/data/array_file.h"
#include "automodel/data/data_files.h"
#include "automodel/data/line_file.h"
#include "automodel/data/split_slice.h"

namespace automodel::data {
namespace {

class Chain : public Rows {  // several sources one after another
 public:
  explicit Chain(std::vector<std::unique_ptr<Rows>> parts) : parts_(std::move(parts)) {}
  bool has(int64_t index) override {
    for (auto& part : parts_) {
      if (part->has(index)) return true;
      index -= part->size();
    }
    return false;
  }
  int64_t size() override {
    int64_t size = 0;
    for (auto& part : parts_) size += part->size();
    return size;
  }
  Row at(int64_t index) override {
    int64_t rest = index;
    for (auto& part : parts_) {
      if (part->has(rest)) {
        Row row = part->at(rest);
        row.index = index;
        return row;
      }
      rest -= part->size();
    }
    AM_CHECK(false, "row {} of {}", index, size());
    return {};
  }

 private:
  std::vector<std::unique_ptr<Rows>> parts_;
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

std::unique_ptr<Rows> chain(std::vector<std::unique_ptr<Rows>> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<Chain>(std::move(parts));
}

}  // namespace

std::unique_ptr<Rows> open_file(const std::string& path) {
  const std::string ending = data_file_ending(path);
  if (ending == ".jsonl" || ending == ".ndjson") return std::make_unique<LineFile>(path, LineFile::Format::Json);
  if (ending == ".txt" || ending == ".text") return std::make_unique<LineFile>(path, LineFile::Format::Text);
  if (ending == ".json") return std::make_unique<ArrayFile>(path);
  throw UnsupportedError(path, fmt::format("files ending in '{}' cannot be read by this build", ending),
                         "convert it to JSON lines (.jsonl): one object a line");
}

std::unique_ptr<Rows> open_rows(const RowsOptions& options) {
  if (options.paths.empty()) throw ConfigError("dataset", "names no file or folder");
  std::vector<std::unique_ptr<Rows>> parts;
  for (const auto& slice : parse_split(options.split)) {
    std::vector<std::unique_ptr<Rows>> files;
    for (const auto& file : find_data_files(options.paths, slice.name)) files.push_back(open_file(file));
    const bool whole = !slice.from && !slice.to && !options.shuffle_seed;
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
