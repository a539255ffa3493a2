// PreprocessOutput: one Megatron data set in the making, PREFIX.bin and PREFIX.idx, which can be killed at any byte.
//
// Tokens, lengths and documents grow in PREFIX.{bin,lengths,documents}.part. What they held at a moment that is known
// to be on disk is a Mark; going on from a mark cuts them back to it. PREFIX.bin and PREFIX.idx themselves appear only
// when they are whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/data/megatron_index.h"

namespace automodel::data {

/// A file that is appended to and flushed; every failure throws SystemError with its path.
class AppendFile {
 public:
  /// Opens or makes it, cuts it to `size` bytes and holds it alone until the destructor (also against other processes).
  /// Throws DataError when it has fewer bytes or another process writes it.
  AppendFile(const std::string& path, int64_t size);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  void append(const void* data, size_t bytes);
  void flush();  // to disk
  int64_t size() const { return size_; }

 private:
  void write_out();
  std::string path_, buffer_;
  int fd_ = -1;
  int64_t size_ = 0;
};

/// Documents as they are appended, laid out as the files have them.
struct EncodedDocuments {
  std::string tokens;              // in the set's dtype
  std::vector<int32_t> lengths;    // tokens of each sequence
  std::vector<int32_t> sequences;  // of each document; 0 for a document without tokens
  void clear() { tokens.clear(), lengths.clear(), sequences.clear(); }
};

class PreprocessOutput {
 public:
  struct Mark {
    int64_t bytes = 0, sequences = 0, documents = 0;
    Json to_json() const;
    static Mark from_json(const Json& json);  // throws DataError
  };

  PreprocessOutput(std::string prefix, MegatronType type, const Mark& from);
  void append(const EncodedDocuments& documents);
  /// Flushes to disk; going on from the result loses nothing that was appended before.
  Mark mark();
  const std::string& prefix() const { return prefix_; }

  /// Writes the index beside the parts and flushes all: after this, publish() of this or another process ends it.
  void finish();
  /// Gives the parts of a finished set their names; may be called again after a crash in its middle.
  static void publish(const std::string& prefix);
  /// Removes all parts.
  static void discard(const std::string& prefix);

 private:
  std::string prefix_;
  MegatronType type_;
  AppendFile tokens_, lengths_, documents_;  // documents_: i64, the sequence after each document
  int64_t sequences_;
};

}  // namespace automodel::data
