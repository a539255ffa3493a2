// A blob on its way: written in ranges, in any order, by several threads; taken up again after a cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

namespace automodel::net {

struct ByteRange {
  uint64_t begin = 0, end = 0;  ///< [begin, end)
};

/// BLOB.automodel.incomplete holds the bytes, BLOB.automodel.ranges beside it what of them is there. The caller holds
/// the blob's lock. (huggingface_hub before version 1 left BLOB.incomplete, a plain beginning: that is taken over.)
class PartialFile {
 public:
  /// Opens what an earlier attempt left, or begins. Throws SystemError.
  PartialFile(const std::filesystem::path& blob, uint64_t size);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;

  uint64_t resumed_bytes() const { return resumed_; }
  std::vector<ByteRange> missing() const;

  /// Writes at a place; a full disk is a SystemError that says so. Threads may write different ranges at a time.
  void write(uint64_t at, const char* data, size_t size);
  /// Records that [begin, end) has been written, so that it need not be fetched again.
  void mark(ByteRange range);
  /// Forgets everything that is there: nothing counts as written.
  void restart();

  /// The checksum is compared, the bytes are flushed to the disk, and the file gets its name. False, and everything
  /// forgotten, when the checksum is another: `came` says which.
  bool finish(const std::string& etag, std::string& came);

 private:
  void read_ranges();
  void append(ByteRange range);
  [[noreturn]] void fail(const char* what) const;

  std::filesystem::path blob_, path_, ranges_path_;
  uint64_t size_, resumed_ = 0;
  int fd_ = -1;
  mutable std::mutex mutex_;
  std::vector<ByteRange> done_;  // sorted, apart
};

}  // namespace automodel::net
