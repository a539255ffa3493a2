// TokenCache: samples kept on disk from one run to the next, by the number of their row.
//
// A cache is a folder named by a key: a hash of all that a sample is made from (data files, template, tokenizer,
// options, program). It holds segments, files that are written beside and renamed and never changed, each named by its
// content; a process adds segments of its own, so any number of runs may read and write one cache at once. The samples
// of a segment carry checksums: a damaged segment is deleted with a warning, and its rows are tokenized again.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "automodel/base/file.h"
#include "automodel/data/sample.h"

namespace automodel::data {

class TokenCache {
 public:
  /// Opens FOLDER/KEY, made if it is not there, and maps its segments. Throws SystemError.
  TokenCache(const std::filesystem::path& folder, const std::string& key);
  /// Writes what was added since the last segment.
  ~TokenCache();
  TokenCache(const TokenCache&) = delete;

  std::optional<Sample> find(int64_t index) const;
  /// Keeps a sample; when 32 MiB have come together, they are written. A disk that is full ends the keeping with a
  /// warning, not the run.
  void add(int64_t index, const Sample& sample);
  void flush();

 private:
  struct Segment;
  void open_segment(const std::filesystem::path& path);
  void write_segment(const std::map<int64_t, Sample>& samples);
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<Segment>> segments_;
  mutable std::mutex mutex_;
  std::map<int64_t, Sample> added_;
  int64_t added_tokens_ = 0;
  bool writable_ = true;
};

/// 32 hexadecimal digits that stand for a text.
std::string hash_text(std::string_view text);

/// What says that a file is the same: its size, time of change, first and last MiB. Throws SystemError.
std::string file_fingerprint(const std::filesystem::path& path);

}  // namespace automodel::data
