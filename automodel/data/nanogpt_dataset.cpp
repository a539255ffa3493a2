#include "automodel/data/nanogpt_dataset.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <numeric>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/random.h"

namespace automodel::data {
namespace {
namespace fs = std::filesystem;

constexpr int32_t kMagic = 278895051, kOlderMagic = 20240520;
constexpr size_t kHeaderBytes = 256 * 4;
constexpr uint64_t kOrderStream = 0x73686172;  // keeps these random numbers apart from others of the same seed

int32_t int_at(std::string_view bytes, size_t index) {
  int32_t value;
  std::memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}

class Shard {
 public:
  explicit Shard(const std::string& path) : path_(path), file_(path) {
    const auto bytes = file_.text();
    if (bytes.size() < kHeaderBytes) throw DataError(path, "is no NanoGPT shard: it is shorter than a header");
    const int32_t magic = int_at(bytes, 0), version = int_at(bytes, 1), item = int_at(bytes, 3);
    if (magic != kMagic && magic != kOlderMagic)
      throw DataError(
          path, fmt::format("is no NanoGPT shard: it begins with {}, expected {} or {}", magic, kMagic, kOlderMagic));
    if (version != 1) throw UnsupportedError(path, fmt::format("has version {}, expected 1", version));
    item_bytes_ = magic == kOlderMagic ? 2 : item;
    if (item_bytes_ != 2 && item_bytes_ != 4)
      throw DataError(path, fmt::format("says {} bytes a token, expected 2 or 4", item));
    tokens_ = int_at(bytes, 2);
    const auto there = static_cast<int64_t>(bytes.size() - kHeaderBytes);
    if (tokens_ < 0 || tokens_ * item_bytes_ != there)
      throw DataError(
          path,
          fmt::format("says {} tokens of {} bytes, but has {} bytes after its header", tokens_, item_bytes_, there),
          "the file is damaged or was cut off");
  }

  const std::string& path() const { return path_; }
  int64_t tokens() const { return tokens_; }
  uint32_t token(int64_t at) const {
    const char* from = file_.text().data() + kHeaderBytes + at * item_bytes_;
    uint32_t value = 0;  // little-endian
    std::memcpy(&value, from, static_cast<size_t>(item_bytes_));
    return value;
  }

 private:
  std::string path_;
  MappedFile file_;
  int64_t item_bytes_ = 2, tokens_ = 0;
};

// Finds beginnings of documents, one after another.
class Beginnings {
 public:
  Beginnings(const Shard& shard, uint32_t bos) : shard_(shard), bos_(bos) {
    const fs::path index = fs::path(shard.path()).replace_extension(".bos.idx");
    if (!fs::exists(index)) return;
    index_.emplace(index);
    if (index_->text().size() % 4 != 0)
      throw DataError(index.string(), "is no list of int32: its size is no multiple of 4");
  }
  /// The first at or after `from`, or the shard's end.
  int64_t next(int64_t from) {
    if (index_) return next_in_index(from);
    while (from < shard_.tokens() && shard_.token(from) != bos_) ++from;
    return from;
  }

 private:
  int64_t next_in_index(int64_t from) {
    const auto bytes = index_->text();
    for (; at_ < bytes.size() / 4; ++at_) {
      const int64_t place = int_at(bytes, at_);
      if (place <= last_ || place >= shard_.tokens() || shard_.token(place) != bos_)
        throw DataError(shard_.path(),
                        fmt::format("entry {} of its .bos.idx is {}, where no bos token {} stands", at_, place, bos_),
                        "delete the index, or set dataset.bos_token to the token it was made for");
      if (place >= from) return place;
      last_ = place;
    }
    return shard_.tokens();
  }

  const Shard& shard_;
  uint32_t bos_;
  std::optional<MappedFile> index_;
  size_t at_ = 0;
  int64_t last_ = -1;
};

class NanogptWindows : public TokenWindows {
 public:
  explicit NanogptWindows(const NanogptOptions& options) : options_(options) {
    for (const auto& path : nanogpt_files(options.files)) shards_.push_back(std::make_unique<Shard>(path));
    aligned_.resize(shards_.size());
    searched_.resize(shards_.size(), false);
  }

  int64_t size() const override { return options_.samples ? *options_.samples : pass_size(); }
  bool has(int64_t window) const override { return window < size(); }
  std::string place(int64_t window) const override {
    const auto [shard, begin] = find(window);
    return fmt::format("{}: sample {}, tokens {} to {}", shard->path(), window, begin, begin + options_.seq_len);
  }
  std::string order() const override {
    int64_t tokens = 0;
    for (const auto& shard : shards_) tokens += shard->tokens();
    return fmt::format("{} shards from {}, {} tokens, {} a sample, {}, seed {}", shards_.size(), shards_[0]->path(),
                       tokens, options_.seq_len, options_.align_to_bos ? "aligned" : "not aligned",
                       options_.shuffle_files ? std::to_string(options_.seed) : "none");
  }

  void read(int64_t window, std::vector<int32_t>& tokens) const override {
    const auto [shard, begin] = find(window);
    for (int64_t i = begin; i <= begin + options_.seq_len; ++i) {
      const uint32_t token = shard->token(i);
      if (token > INT32_MAX) throw DataError(shard->path(), fmt::format("token {} is {}, which is no id", i, token));
      tokens.push_back(static_cast<int32_t>(token));
    }
  }

  /// Samples of all shards. Throws DataError when there are none.
  int64_t pass_size() const {
    int64_t all = 0;
    for (size_t k = 0; k < shards_.size(); ++k) all += windows_of(k);
    if (all == 0)
      throw DataError("dataset.file_pattern",
                      fmt::format("no shard holds a sample of {} tokens and its target", options_.seq_len));
    return all;
  }

 private:
  std::pair<const Shard*, int64_t> find(int64_t window) const {
    int64_t pass = 0, rest = window;
    while (true) {
      const Permutation shuffled(shards_.size(), RandomKey{options_.seed, kOrderStream, static_cast<uint64_t>(pass)});
      for (size_t i = 0; i < shards_.size(); ++i) {
        const size_t k = options_.shuffle_files ? shuffled(i) : i;
        const int64_t here = windows_of(k);
        if (rest < here) return {shards_[k].get(), start_of(k, rest)};
        rest -= here;
      }
      const int64_t all = pass_size();  // known by now, as every shard was counted
      pass = window / all, rest = window % all;
    }
  }

  int64_t windows_of(size_t k) const {
    if (!options_.align_to_bos) return shards_[k]->tokens() / (options_.seq_len + 1);
    std::lock_guard lock(mutex_);
    if (!searched_[k]) search(k);
    return static_cast<int64_t>(aligned_[k].size());
  }

  int64_t start_of(size_t k, int64_t window) const {
    if (!options_.align_to_bos) return window * (options_.seq_len + 1);
    std::lock_guard lock(mutex_);
    return aligned_[k][static_cast<size_t>(window)];
  }

  void search(size_t k) const {  // REQUIRES the lock
    const Shard& shard = *shards_[k];
    Beginnings beginnings(shard, static_cast<uint32_t>(*options_.bos_token));
    std::vector<int32_t> starts;
    for (int64_t at = beginnings.next(0); at + options_.seq_len < shard.tokens();
         at = beginnings.next(at + options_.seq_len + 1))
      starts.push_back(static_cast<int32_t>(at));
    aligned_[k] = std::move(starts);
    searched_[k] = true;
  }

  NanogptOptions options_;
  std::vector<std::unique_ptr<Shard>> shards_;
  mutable std::mutex mutex_;
  mutable std::vector<std::vector<int32_t>> aligned_;
  mutable std::vector<bool> searched_;
};

}  // namespace

std::vector<std::string> nanogpt_files(const std::vector<std::string>& patterns) {
  if (patterns.empty()) throw ConfigError("dataset.file_pattern", "is missing", "data/train_*.bin");
  std::vector<std::string> files;
  for (const auto& pattern : patterns) {
    glob_t found{};
    const int failed = ::glob(pattern.c_str(), 0, nullptr, &found);  // sorted by name in the C locale
    std::vector<std::string> matches;
    for (size_t i = 0; failed == 0 && i < found.gl_pathc; ++i) matches.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
    if (matches.empty()) throw ConfigError("dataset.file_pattern", fmt::format("no file matches '{}'", pattern));
    std::sort(matches.begin(), matches.end());
    files.insert(files.end(), matches.begin(), matches.end());
  }
  return files;
}

std::shared_ptr<const TokenWindows> open_nanogpt(const NanogptOptions& options) {
  if (options.seq_len < 1 || options.seq_len > (1 << 30))
    throw ConfigError("dataset.seq_len", fmt::format("is {}, expected 1 to 2^30", options.seq_len));
  if (options.align_to_bos && !options.bos_token)
    throw ConfigError("dataset.bos_token", "is missing; align_to_bos needs it");
  if (options.bos_token && (*options.bos_token < 0 || *options.bos_token > INT32_MAX))
    throw ConfigError("dataset.bos_token", fmt::format("is {}, which is no id", *options.bos_token));
  auto windows = std::make_shared<NanogptWindows>(options);
  if (!options.align_to_bos) windows->pass_size();  // says at once that every shard is too short
  return windows;
}

}  // namespace automodel::data
